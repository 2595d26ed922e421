// The tests of a chat template: value is name(arguments). Pure; limits and failures by Context.
#pragma once

#include <string>
#include <string_view>

#include "providers/local/jinja_context.h"

namespace sluice::jinja {

struct Test {
    std::string_view name;
    bool (*holds)(Context& context, const Value& input, const Arguments& arguments);
};

const Test* find_test(std::string_view name);  // nullptr when there is none
std::string test_names();                      // for messages

}  // namespace sluice::jinja
