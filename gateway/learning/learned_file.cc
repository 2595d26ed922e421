#include "gateway/learning/learned_file.h"

#include "gateway/learning/state_file.h"

namespace sluice {

Result<LearnerModel> read_champion(const std::string& path, const std::string& classifier) {
    auto bytes = read_state_file(path);
    if (!bytes) return bytes.error();
    if (bytes->empty())
        return Error(Errc::bad_file, path +
                                         ": no such file: expected what a gateway has learned, its "
                                         "learning.state or what /admin/router/export gives");
    auto learner = Learner::read(*bytes, classifier, path);
    if (!learner) return learner.error();
    return learner->champion();
}

}  // namespace sluice
