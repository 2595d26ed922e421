#include "providers/local/jinja_methods.h"

#include <algorithm>
#include <array>

namespace sluice::jinja {

namespace {

using Args = Arguments;

struct Method {
    std::string_view name;
    Value (*call)(Context& context, const Value& receiver, const Args& arguments);
};

std::string_view argument(Context& context, const Args& arguments, std::size_t index,
                          std::string_view name) {
    const Value* value = arguments.find(index, name);
    if (value != nullptr) return context.string_of(*value, "argument '" + std::string(name) + "'");
    context.fail("argument '" + std::string(name) + "' is missing");
    return {};
}

Value split_at_space(Context& context, const Text& text, std::int64_t times) {
    std::vector<Value> pieces;
    const std::string& bytes = text.bytes();
    std::size_t from = 0;
    while (context.spend(step_cost)) {
        from += stripped(std::string_view(bytes).substr(from), {}, true, false).from;
        if (from >= bytes.size()) break;
        std::size_t to = from;
        if (times >= 0 && static_cast<std::int64_t>(pieces.size()) >= times) {
            to = bytes.size();
        } else {
            for (std::size_t next = to; to < bytes.size(); to = next) {
                if (is_space(next_char(bytes, next))) break;
            }
        }
        pieces.push_back(context.text(text.slice(from, to - from)));
        from = to;
    }
    return context.list(std::move(pieces));
}

Value split(Context& context, const Value& receiver, const Args& arguments) {
    const Text& text = *receiver.as_text();
    const Value* separator = arguments.find(0, "sep");
    const Value* limit = arguments.find(1, "maxsplit");
    const std::int64_t times = limit == nullptr ? -1 : context.integer_of(*limit, "maxsplit");
    if (separator == nullptr || separator->is_none()) return split_at_space(context, text, times);
    const std::string_view mark = context.string_of(*separator, "split's separator");
    if (mark.empty() && !context.failed()) return context.fail("split needs a separator");
    std::vector<Value> pieces;
    for (std::size_t from = 0; !context.failed();) {
        const bool more = times < 0 || static_cast<std::int64_t>(pieces.size()) < times;
        const std::size_t to = more ? context.find(text.bytes(), mark, from) : std::string::npos;
        context.spend(step_cost);
        if (to == std::string::npos) {
            pieces.push_back(context.text(text.slice(from, text.size())));
            break;
        }
        pieces.push_back(context.text(text.slice(from, to - from)));
        from = to + mark.size();
    }
    return context.list(std::move(pieces));
}

Value rsplit(Context& context, const Value& receiver, const Args& arguments) {
    const Text& text = *receiver.as_text();
    const std::string_view mark = argument(context, arguments, 0, "sep");
    const Value* limit = arguments.find(1, "maxsplit");
    const std::int64_t times = limit == nullptr ? -1 : context.integer_of(*limit, "maxsplit");
    if (mark.empty() && !context.failed()) return context.fail("rsplit needs a separator");
    std::vector<Value> pieces;
    for (std::size_t to = text.size(); !context.failed();) {
        const bool more = times < 0 || static_cast<std::int64_t>(pieces.size()) < times;
        const std::size_t found =
            more ? context.rfind(std::string_view(text.bytes()).substr(0, to), mark)
                 : std::string_view::npos;
        context.spend(step_cost);
        const std::size_t from = found == std::string::npos ? 0 : found + mark.size();
        pieces.push_back(context.text(text.slice(from, to - from)));
        if (found == std::string::npos) break;
        to = found;
    }
    std::reverse(pieces.begin(), pieces.end());
    return context.list(std::move(pieces));
}

Value splitlines(Context& context, const Value& receiver, const Args&) {
    const Text& text = *receiver.as_text();
    std::vector<Value> lines;
    for (std::size_t from = 0; from < text.size() && context.spend(step_cost);) {
        const std::size_t newline = std::min(text.bytes().find('\n', from), text.size());
        lines.push_back(context.text(text.slice(from, newline - from)));
        from = newline + 1;
    }
    return context.list(std::move(lines));
}

template <bool left, bool right>
Value strip(Context& context, const Value& receiver, const Args& arguments) {
    const Text& text = *receiver.as_text();
    const std::string_view chars = context.strip_set(arguments.find(0, "chars"));
    const Span span = stripped(text.bytes(), chars, left, right);
    return context.text(text.slice(span.from, span.to - span.from));
}

template <bool at_start>
Value has_end(Context& context, const Value& receiver, const Args& arguments) {
    const std::string& text = receiver.as_text()->bytes();
    const Value* affix = arguments.find(0, "affix");
    if (affix == nullptr) return context.fail("argument is missing");
    const auto matches = [&](const Value& value) {
        const std::string_view part = context.string_of(value, "the text to look for");
        return at_start ? text.starts_with(part) : text.ends_with(part);
    };
    if (const List* several = affix->as_list()) {
        return Value::boolean(std::any_of(several->items.begin(), several->items.end(), matches));
    }
    return Value::boolean(matches(*affix));
}

template <bool at_start>
Value without_end(Context& context, const Value& receiver, const Args& arguments) {
    const Text& text = *receiver.as_text();
    const std::string_view part = argument(context, arguments, 0, "affix");
    const bool has = at_start ? text.bytes().starts_with(part) : text.bytes().ends_with(part);
    if (!has) return receiver;
    return context.text(text.slice(at_start ? part.size() : 0, text.size() - part.size()));
}

Value replace(Context& context, const Value& receiver, const Args& arguments) {
    const Value* fresh = arguments.find(1, "new");
    const Value* count = arguments.find(2, "count");
    if (fresh == nullptr || fresh->as_text() == nullptr) {
        return context.fail("replace needs two strings");
    }
    return replaced(context, *receiver.as_text(), argument(context, arguments, 0, "old"),
                    *fresh->as_text(),
                    count == nullptr ? -1 : context.integer_of(*count, "replace's count"));
}

template <LetterCase letter_case>
Value in_case(Context& context, const Value& receiver, const Args&) {
    return with_case(context, *receiver.as_text(), letter_case);
}

template <bool first>
Value find(Context& context, const Value& receiver, const Args& arguments) {
    const std::string& text = receiver.as_text()->bytes();
    const std::string_view part = argument(context, arguments, 0, "sub");
    const std::size_t at = first ? context.find(text, part) : context.rfind(text, part);
    if (at == std::string::npos) return Value::integer(-1);
    return Value::integer(
        static_cast<std::int64_t>(char_count(std::string_view(text).substr(0, at))));
}

Value count(Context& context, const Value& receiver, const Args& arguments) {
    const std::string& text = receiver.as_text()->bytes();
    const std::string_view part = argument(context, arguments, 0, "sub");
    if (part.empty()) return context.fail("count needs something to count");
    std::int64_t times = 0;
    for (std::size_t at = 0; (at = context.find(text, part, at)) != std::string_view::npos;) {
        at += part.size();
        ++times;
    }
    return Value::integer(times);
}

Value join(Context& context, const Value& receiver, const Args& arguments) {
    const Value* list = arguments.find(0, "iterable");
    if (list == nullptr) return context.fail("join needs a list");
    Text out;
    bool first = true;
    for (const Value& item : context.items_of(*list)) {
        if (item.as_text() == nullptr) return context.fail("join needs a list of strings");
        if (!context.spend(receiver.as_text()->size() + item.as_text()->size())) break;
        if (!first) out.append(*receiver.as_text());
        first = false;
        out.append(*item.as_text());
    }
    return context.text(std::move(out));
}

Value isdigit(Context&, const Value& receiver, const Args&) {
    const std::string& text = receiver.as_text()->bytes();
    return Value::boolean(!text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return c >= '0' && c <= '9';
    }));
}

Value items(Context& context, const Value& receiver, const Args&) {
    return context.list(entries_of(context, *receiver.as_mapping()));
}

template <bool keys>
Value column(Context& context, const Value& receiver, const Args&) {
    std::vector<Value> found;
    for (const auto& [key, value] : receiver.as_mapping()->entries) {
        found.push_back(keys ? context.text(key) : value);
    }
    return context.list(std::move(found));
}

Value get(Context& context, const Value& receiver, const Args& arguments) {
    const Value* key = arguments.find(0, "key");
    const Value* otherwise = arguments.find(1, "default");
    if (key == nullptr) return context.fail("get needs a key");
    const Value* value =
        key->as_text() == nullptr ? nullptr : receiver.as_mapping()->find(key->as_text()->bytes());
    if (value != nullptr) return *value;
    return otherwise == nullptr ? Value::none() : *otherwise;
}

constexpr Method text_methods[] = {
    {"capitalize", in_case<LetterCase::capital>},
    {"count", count},
    {"endswith", has_end<false>},
    {"find", find<true>},
    {"isdigit", isdigit},
    {"join", join},
    {"lower", in_case<LetterCase::lower>},
    {"lstrip", strip<true, false>},
    {"removeprefix", without_end<true>},
    {"removesuffix", without_end<false>},
    {"replace", replace},
    {"rfind", find<false>},
    {"rsplit", rsplit},
    {"rstrip", strip<false, true>},
    {"split", split},
    {"splitlines", splitlines},
    {"startswith", has_end<true>},
    {"strip", strip<true, true>},
    {"title", in_case<LetterCase::title>},
    {"upper", in_case<LetterCase::upper>},
};

constexpr Method mapping_methods[] = {
    {"get", get},
    {"items", items},
    {"keys", column<true>},
    {"values", column<false>},
};

const Method* find_method(const Value& receiver, std::string_view name) {
    if (receiver.as_text() != nullptr) {
        for (const Method& method : text_methods) {
            if (method.name == name) return &method;
        }
    }
    if (receiver.as_mapping() != nullptr) {
        for (const Method& method : mapping_methods) {
            if (method.name == name) return &method;
        }
    }
    return nullptr;
}

}  // namespace

bool has_method(const Value& receiver, std::string_view name) {
    return find_method(receiver, name) != nullptr;
}

Value call_method(Context& context, const Value& receiver, std::string_view name,
                  const Arguments& arguments) {
    const Method* method = find_method(receiver, name);
    if (method == nullptr) {
        return context.fail(std::string(receiver.type_name()) + " has no method '" +
                            std::string(name) + "'");
    }
    return method->call(context, receiver, arguments);
}

Value replaced(Context& context, const Text& text, std::string_view old, const Text& fresh,
               std::int64_t count) {
    Text out;
    std::size_t from = 0;
    for (std::int64_t done = 0; count < 0 || done < count; ++done) {
        // Python puts the new text between all characters when the old one is empty.
        std::size_t at = context.find(text.bytes(), old, from);
        if (at == std::string::npos || !context.spend(fresh.size() + step_cost)) break;
        out.append(text.slice(from, at - from));
        out.append(fresh);
        from = at + old.size();
        if (!old.empty()) continue;
        if (from >= text.size()) return context.text(std::move(out));
        next_char(text.bytes(), at);
        out.append(text.slice(from, at - from));
        from = at;
    }
    out.append(text.slice(from, text.size()));
    return context.text(std::move(out));
}

Value with_case(Context& context, const Text& text, LetterCase letter_case) {
    std::string bytes = text.bytes();
    bool within_word = false;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        char& c = bytes[i];
        const bool small = c >= 'a' && c <= 'z';
        const bool large = c >= 'A' && c <= 'Z';
        const bool raise = letter_case == LetterCase::upper ||
                           (letter_case == LetterCase::capital && i == 0) ||
                           (letter_case == LetterCase::title && !within_word);
        if (small && raise) c = static_cast<char>(c - 32);
        if (large && !raise) c = static_cast<char>(c + 32);
        within_word = small || large || static_cast<unsigned char>(c) >= 0x80;
    }
    return context.text(text.with_bytes(std::move(bytes)));
}

std::vector<Value> entries_of(Context& context, const Mapping& mapping) {
    std::vector<Value> entries;
    for (const auto& [key, value] : mapping.entries) {
        if (!context.spend(step_cost)) break;
        entries.push_back(context.list({context.text(key), value}));
    }
    return entries;
}

}  // namespace sluice::jinja
