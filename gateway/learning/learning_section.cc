#include "gateway/learning/learning_section.h"

#include "gateway/config.h"
#include "gateway/config_yaml.h"

namespace sluice {

void read_learning_section(Cursor& root, Config& config) {
    auto at = root.find("learning");
    if (!at || !at->expect_map()) return;
    LearningSection& learning = config.learning.emplace();
    if (auto state = at->need("state"))
        learning.state_file = beside(config.file, state->text().value_or(""));
    if (auto count = at->find("remember"))
        learning.remember = static_cast<int>(count->integer(64, 1'000'000).value_or(64));
    at->close();
}

}  // namespace sluice
