#include "providers/local/jinja_filters.h"

#include <algorithm>

#include "providers/local/jinja_methods.h"
#include "providers/local/jinja_tests.h"

namespace sluice::jinja {

namespace {

using Args = Arguments;

Value trim(Context& context, const Value& input, const Args& arguments) {
    const Text text = context.printed(input);
    const Span span =
        stripped(text.bytes(), context.strip_set(arguments.find(0, "chars")), true, true);
    return context.text(text.slice(span.from, span.to - span.from));
}

Value length(Context& context, const Value& input, const Args&) {
    if (const Text* text = input.as_text()) {
        context.spend(text->size());
        return Value::integer(static_cast<std::int64_t>(char_count(text->bytes())));
    }
    std::size_t size = 0;
    if (const List* list = input.as_list()) {
        size = list->items.size();
    } else if (const Mapping* mapping = input.as_mapping()) {
        size = mapping->entries.size();
    } else if (!input.is_undefined()) {
        return context.fail(std::string(input.type_name()) + " has no length");
    }
    return Value::integer(static_cast<std::int64_t>(size));
}

Value to_json(Context& context, const Value& input, const Args& arguments) {
    int indent = -1;
    // json.dumps' own second argument in Hugging Face's filter is ensure_ascii.
    if (const Value* asked = arguments.find(1, "indent"); asked != nullptr && !asked->is_none()) {
        indent = static_cast<int>(
            std::clamp<std::int64_t>(context.integer_of(*asked, "tojson's indent"), 0, 16));
    }
    std::string out;
    context.append_json(out, input, indent);
    return context.text(Text(std::move(out), false));
}

// item.name, or item["a"]["b"] for "a.b"; what map, join and the select filters look at.
Value attribute_of(Context& context, const Value& item, std::string_view path) {
    Value at = item;
    while (!path.empty() && !context.failed()) {
        if (const auto* missing = std::get_if<Undefined>(&at.any())) {
            return context.fail("'" + missing->name + "' is undefined");
        }
        const std::size_t dot = std::min(path.find('.'), path.size());
        const std::string_view name = path.substr(0, dot);
        path.remove_prefix(std::min(dot + 1, path.size()));
        const Mapping* mapping = at.as_mapping();
        context.spend(mapping == nullptr ? 1 : mapping->entries.size());
        const Value* found = mapping == nullptr ? nullptr : mapping->find(name);
        at = found == nullptr ? Value::undefined(name) : Value(*found);
    }
    return at;
}

Value join(Context& context, const Value& input, const Args& arguments) {
    const Value* between = arguments.find(0, "d");
    const Value* attribute = arguments.find(1, "attribute");
    const Text separator = between == nullptr ? Text() : context.printed(*between);
    const std::string_view path =
        attribute == nullptr ? "" : context.string_of(*attribute, "join's attribute");
    Text out;
    bool first = true;
    for (const Value& item : context.items_of(input)) {
        if (context.failed() || !context.spend(separator.size())) break;
        if (!first) out.append(separator);
        first = false;
        out.append(context.printed(path.empty() ? item : attribute_of(context, item, path)));
    }
    return context.text(std::move(out));
}

Value default_to(Context& context, const Value& input, const Args& arguments) {
    const Value* value = arguments.find(0, "default_value");
    const Value* falsy_too = arguments.find(1, "boolean");
    const bool replace =
        input.is_undefined() || (falsy_too != nullptr && falsy_too->truthy() && !input.truthy());
    if (!replace) return input;
    return value == nullptr ? context.text("", true) : *value;
}

Value replace(Context& context, const Value& input, const Args& arguments) {
    const Value* old = arguments.find(0, "old");
    const Value* fresh = arguments.find(1, "new");
    const Value* count = arguments.find(2, "count");
    if (old == nullptr || fresh == nullptr) return context.fail("replace needs two arguments");
    const std::int64_t times =
        count == nullptr || count->is_none() ? -1 : context.integer_of(*count, "replace's count");
    return replaced(context, context.printed(input), context.string_of(*old, "replace's old text"),
                    context.printed(*fresh), times);
}

template <LetterCase letter_case>
Value in_case(Context& context, const Value& input, const Args&) {
    return with_case(context, context.printed(input), letter_case);
}

Value end_of(Context& context, const Value& input, bool front) {
    if (const List* list = input.as_list()) {
        if (list->items.empty()) return Value::undefined(front ? "first" : "last");
        return front ? list->items.front() : list->items.back();
    }
    const std::vector<Value> items = context.items_of(input);
    if (items.empty()) return Value::undefined(front ? "first" : "last");
    return front ? items.front() : items.back();
}
Value first(Context& context, const Value& input, const Args&) {
    return end_of(context, input, true);
}
Value last(Context& context, const Value& input, const Args&) {
    return end_of(context, input, false);
}

Value items(Context& context, const Value& input, const Args&) {
    if (input.is_undefined()) return context.list({});
    if (const Mapping* mapping = input.as_mapping()) {
        return context.list(entries_of(context, *mapping));
    }
    return context.fail("items needs a mapping, not " + std::string(input.type_name()));
}

Value dictsort(Context& context, const Value& input, const Args&) {
    const Mapping* mapping = input.as_mapping();
    if (mapping == nullptr) {
        return context.fail("dictsort needs a mapping, not " + std::string(input.type_name()));
    }
    auto entries = mapping->entries;
    if (!context.spend(entries.size() * step_cost)) return Value();
    const auto lower = [](const Text& key) {
        std::string small = key.bytes();
        for (char& c : small) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
        return small;
    };
    std::stable_sort(entries.begin(), entries.end(), [&lower](const auto& a, const auto& b) {
        return lower(a.first) < lower(b.first);
    });
    const Value sorted = context.mapping(std::move(entries));
    return sorted.as_mapping() == nullptr ? Value()
                                          : context.list(entries_of(context, *sorted.as_mapping()));
}

Value to_list(Context& context, const Value& input, const Args&) {
    return context.list(context.items_of(input));
}

Value to_string(Context& context, const Value& input, const Args&) {
    return context.text(context.printed(input));
}

Value reverse(Context& context, const Value& input, const Args&) {
    std::vector<Value> items = context.items_of(input);
    std::reverse(items.begin(), items.end());
    if (input.as_text() == nullptr) return context.list(std::move(items));
    Text out;
    for (const Value& item : items) out.append(*item.as_text());
    return context.text(std::move(out));
}

Value sort(Context& context, const Value& input, const Args& arguments) {
    const Value* reverse_order = arguments.find(0, "reverse");
    const Value* case_sensitive = arguments.find(1, "case_sensitive");
    const Value* attribute = arguments.find(2, "attribute");
    const std::string_view path =
        attribute == nullptr ? "" : context.string_of(*attribute, "sort's attribute");
    const bool fold = case_sensitive == nullptr || !case_sensitive->truthy();
    std::vector<std::pair<Value, Value>> keyed;
    for (const Value& item : context.items_of(input)) {
        Value key = path.empty() ? item : attribute_of(context, item, path);
        if (fold && key.as_text() != nullptr) {
            key = with_case(context, *key.as_text(), LetterCase::lower);
        }
        if (!keyed.empty()) context.less(keyed.back().first, key);  // fails once, outside the sort
        keyed.emplace_back(std::move(key), item);
    }
    if (context.failed() || !context.spend(keyed.size() * 16 * step_cost)) return Value();
    std::stable_sort(keyed.begin(), keyed.end(), [&context](const auto& a, const auto& b) {
        return context.less(a.first, b.first);
    });
    std::vector<Value> items;
    for (auto& [key, item] : keyed) items.push_back(std::move(item));
    if (reverse_order != nullptr && reverse_order->truthy()) {
        std::reverse(items.begin(), items.end());
    }
    return context.list(std::move(items));
}

Value unique(Context& context, const Value& input, const Args&) {
    std::vector<Value> kept;
    for (const Value& item : context.items_of(input)) {
        const auto same = [&](const Value& other) { return context.equal(item, other); };
        if (context.failed()) break;
        if (std::none_of(kept.begin(), kept.end(), same)) kept.push_back(item);
    }
    return context.list(std::move(kept));
}

Value map(Context& context, const Value& input, const Args& arguments) {
    std::vector<Value> mapped;
    const Value* attribute = arguments.find(SIZE_MAX, "attribute");
    const Value* otherwise = arguments.find(SIZE_MAX, "default");
    const Value* name = arguments.find(0, "filter");
    if (attribute == nullptr && name == nullptr) {
        return context.fail("map needs an attribute or the name of a filter");
    }
    const std::string word(
        context.string_of(attribute == nullptr ? *name : *attribute, "map's argument"));
    const Filter* filter = attribute == nullptr ? find_filter(word) : nullptr;
    if (attribute == nullptr && filter == nullptr) {
        return context.fail("map: unknown filter '" + word + "'");
    }
    if (filter != nullptr && filter->apply == &map)
        return context.fail("map of map: not supported");
    Args rest = arguments;
    if (filter != nullptr) rest.plain.erase(rest.plain.begin());
    for (const Value& item : context.items_of(input)) {
        if (!context.spend(step_cost)) break;
        Value value = filter == nullptr ? attribute_of(context, item, word)
                                        : filter->apply(context, item, rest);
        if (value.is_undefined() && otherwise != nullptr) value = *otherwise;
        mapped.push_back(std::move(value));
    }
    return context.list(std::move(mapped));
}

template <bool by_attribute, bool keep>
Value select(Context& context, const Value& input, const Args& arguments) {
    Args rest = arguments;
    std::string_view path;
    if (by_attribute) {
        if (rest.plain.empty()) return context.fail("an attribute to select by is missing");
        path = context.string_of(arguments.plain.front(), "the attribute to select by");
        rest.plain.erase(rest.plain.begin());
    }
    const Test* test = nullptr;
    if (!rest.plain.empty()) {
        const std::string name(context.string_of(rest.plain.front(), "the name of a test"));
        test = find_test(name);
        if (test == nullptr) return context.fail("unknown test '" + name + "'");
        rest.plain.erase(rest.plain.begin());
    }
    std::vector<Value> kept;
    for (const Value& item : context.items_of(input)) {
        if (!context.spend(step_cost)) break;
        const Value value = by_attribute ? attribute_of(context, item, path) : item;
        const bool holds = test == nullptr ? value.truthy() : test->holds(context, value, rest);
        if (holds == keep) kept.push_back(item);
    }
    return context.list(std::move(kept));
}

Value indent(Context& context, const Value& input, const Args& arguments) {
    const Value* width = arguments.find(0, "width");
    const Value* first_too = arguments.find(1, "first");
    const Value* blank_too = arguments.find(2, "blank");
    Text pad = Text("    ", true);
    if (width != nullptr && width->as_text() != nullptr) {
        pad = *width->as_text();
    } else if (width != nullptr) {
        const auto spaces =
            std::clamp<std::int64_t>(context.integer_of(*width, "indent's width"), 0, 1024);
        pad = Text(std::string(static_cast<std::size_t>(spaces), ' '), true);
    }
    const Text text = context.printed(input);
    Text out;
    for (std::size_t from = 0; from <= text.size();) {
        const std::size_t newline = std::min(text.bytes().find('\n', from), text.size());
        const bool blank = newline == from && (blank_too == nullptr || !blank_too->truthy());
        const bool padded = from == 0 ? first_too != nullptr && first_too->truthy() : !blank;
        if (!context.spend(pad.size() + step_cost)) break;
        if (padded) out.append(pad);
        out.append(text.slice(from, newline + 1 - from));
        from = newline + 1;
    }
    return context.text(std::move(out));
}

Value sum(Context& context, const Value& input, const Args& arguments) {
    const Value* attribute = arguments.find(0, "attribute");
    const std::string_view path =
        attribute == nullptr ? "" : context.string_of(*attribute, "sum's attribute");
    std::int64_t total = 0;
    for (const Value& item : context.items_of(input)) {
        const Value value = path.empty() ? item : attribute_of(context, item, path);
        if (__builtin_add_overflow(total, context.integer_of(value, "an item of sum"), &total)) {
            return context.fail("integer overflow");
        }
    }
    return Value::integer(total);
}

template <bool smallest>
Value extreme(Context& context, const Value& input, const Args&) {
    Value best = Value::undefined(smallest ? "min" : "max");
    for (const Value& item : context.items_of(input)) {
        const bool better =
            best.is_undefined() || (smallest ? context.less(item, best) : context.less(best, item));
        if (better) best = item;
    }
    return best;
}

Value as_it_is(Context&, const Value& input, const Args&) { return input; }

constexpr Filter filters[] = {
    {"capitalize", in_case<LetterCase::capital>},
    {"count", length},
    {"d", default_to},
    {"default", default_to},
    {"dictsort", dictsort},
    {"first", first},
    {"indent", indent},
    {"items", items},
    {"join", join},
    {"last", last},
    {"length", length},
    {"list", to_list},
    {"lower", in_case<LetterCase::lower>},
    {"map", map},
    {"max", extreme<false>},
    {"min", extreme<true>},
    {"reject", select<false, false>},
    {"rejectattr", select<true, false>},
    {"replace", replace},
    {"reverse", reverse},
    {"safe", as_it_is},
    {"select", select<false, true>},
    {"selectattr", select<true, true>},
    {"sort", sort},
    {"string", to_string},
    {"sum", sum},
    {"title", in_case<LetterCase::title>},
    {"tojson", to_json},
    {"trim", trim},
    {"unique", unique},
    {"upper", in_case<LetterCase::upper>},
};

}  // namespace

const Filter* find_filter(std::string_view name) {
    for (const std::span<const Filter> table :
         {std::span<const Filter>(filters), number_filters()}) {
        for (const Filter& filter : table) {
            if (filter.name == name) return &filter;
        }
    }
    return nullptr;
}

std::string filter_names() {
    std::string names;
    for (const std::span<const Filter> table :
         {number_filters(), std::span<const Filter>(filters)}) {
        for (const Filter& filter : table) {
            names += (names.empty() ? "" : ", ") + std::string(filter.name);
        }
    }
    return names;
}

}  // namespace sluice::jinja
