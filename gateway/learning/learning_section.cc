#include "gateway/learning/learning_section.h"

#include <filesystem>

#include "gateway/config.h"

namespace sluice {

void read_learning_section(Cursor& root, Config& config) {
    auto at = root.find("learning");
    if (!at || !at->expect_map()) return;
    LearningSection& learning = config.learning.emplace();
    if (auto state = at->need("state")) {
        auto beside = std::filesystem::path(config.file).parent_path();
        auto path = beside / std::string(state->text().value_or(""));
        learning.state_file = path.lexically_normal().string();
    }
    if (auto count = at->find("remember"))
        learning.remember = static_cast<int>(count->integer(64, 1'000'000).value_or(64));
    at->close();
}

}  // namespace sluice
