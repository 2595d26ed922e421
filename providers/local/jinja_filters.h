// The filters of a chat template: value | name(arguments). Pure; limits and failures by Context.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "providers/local/jinja_context.h"

namespace sluice::jinja {

struct Filter {
    std::string_view name;
    Value (*apply)(Context& context, const Value& input, const Arguments& arguments);
};

const Filter* find_filter(std::string_view name);  // nullptr when there is none
std::string filter_names();                        // for messages

std::span<const Filter> number_filters();  // the part of the table that makes numbers

}  // namespace sluice::jinja
