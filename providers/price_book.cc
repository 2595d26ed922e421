#include "providers/price_book.h"

#include <algorithm>
#include <tuple>

#include "providers/money.h"

namespace sluice {
namespace {

constexpr unsigned char builtin_yaml[] = {
#include "embedded/prices_yaml.inc"
};

// $200 per million tokens. Dearer entries of public lists were mistakes of unit, by factors up to
// 100,000.
constexpr std::int64_t plausible_pico_max = 200'000'000;

// An entry with its place, for the faults that are found by looking at two entries.
struct Placed {
    PriceEntry entry;
    Cursor place;
};

bool is_date(const std::string& text) {
    static constexpr int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
    for (std::size_t i : {0U, 1U, 2U, 3U, 5U, 6U, 8U, 9U})
        if (text[i] < '0' || text[i] > '9') return false;
    int month = (text[5] - '0') * 10 + (text[6] - '0');
    int day = (text[8] - '0') * 10 + (text[9] - '0');
    return month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1];
}

std::string read_date(Cursor& map, const char* key) {
    auto place = map.find(key);
    if (!place) return "";
    auto text = place->text();
    if (!text) return "";
    if (is_date(*text)) return *text;
    place->fault("expected a date such as 2026-08-21, got '" + *text + "'");
    return "";
}

std::string read_needed_text(Cursor& map, const char* key) {
    auto place = map.need(key);
    auto text = place ? place->text() : std::nullopt;
    return text.value_or("");
}

std::optional<std::int64_t> read_price(std::optional<Cursor> place, bool extreme_allowed) {
    auto text = place ? place->text() : std::nullopt;
    if (!text) return {};
    auto pico = pico_per_token(*text);
    if (!pico) {
        place->fault(pico.error().message);
        return {};
    }
    if (*pico > plausible_pico_max && !extreme_allowed) {
        place->fault("$" + *text +
                     " per million tokens is above $200: a wrong unit? If it is right, add "
                     "'allow_extreme: true'");
        return {};
    }
    return *pico;
}

// False when input or output is missing or wrong.
bool read_prices(Cursor& map, bool extreme_allowed, TokenPrice& price) {
    auto input = read_price(map.need("input"), extreme_allowed);
    auto output = read_price(map.need("output"), extreme_allowed);
    price.input = input.value_or(0);
    price.output = output.value_or(0);
    auto read = map.find("cached_input");
    price.cache_read = read_price(read, extreme_allowed).value_or(price.input);
    if (input && read && price.cache_read > price.input)
        read->fault("a cached prompt token costs more than a fresh one (input)");
    auto write = map.find("cache_write");
    price.cache_write = read_price(write, extreme_allowed).value_or(price.input);
    if (input && write && price.cache_write < price.input)
        write->fault("writing to the cache costs less than not writing (input)");
    auto write_1h = map.find("cache_write_1h");
    price.cache_write_1h = read_price(write_1h, extreme_allowed).value_or(price.cache_write);
    if (input && write_1h && price.cache_write_1h < price.cache_write)
        write_1h->fault("writing for an hour costs less than for 5 minutes (cache_write)");
    return input && output;
}

// Faults what a longer prompt would cost less by: such lists were found to be in a wrong order.
void expect_dearer(Cursor& map, const TokenPrice& longer, const TokenPrice& shorter) {
    if (longer.input < shorter.input || longer.output < shorter.output)
        map.fault("a longer prompt costs less than a shorter one (input or output)");
}

constexpr std::int64_t prompt_tokens_max = 1'000'000'000;

void read_long_prompts(Cursor& map, bool extreme_allowed, Price& price) {
    auto list = map.find("long_prompts");
    if (!list) return;
    std::int64_t last = 0;
    for (Cursor& item : list->items()) {
        if (!item.expect_map()) continue;
        LongPromptPrice longer;
        auto place = item.need("above_input_tokens");
        auto above = place ? place->integer(1, prompt_tokens_max) : std::nullopt;
        if (above && *above <= last)
            place->fault("expected more than " + std::to_string(last) + ", the mark before it");
        longer.above_input_tokens = last = above.value_or(last);
        bool both = read_prices(item, extreme_allowed, longer.price);
        item.close();
        if (both) expect_dearer(item, longer.price, price.of(last));
        price.long_prompts.push_back(longer);
    }
}

void read_price(Cursor& map, Price& price) {
    bool extreme_allowed = false;
    if (auto place = map.find("allow_extreme")) extreme_allowed = place->boolean().value_or(false);
    (void)read_prices(map, extreme_allowed, price);  // its faults stop the entry
    read_long_prompts(map, extreme_allowed, price);
    auto place = map.find("input_tokens_max");
    if (!place) return;
    price.input_tokens_max = place->integer(1, prompt_tokens_max).value_or(0);
    if (price.input_tokens_max > 0 && !price.long_prompts.empty() &&
        price.input_tokens_max <= price.long_prompts.back().above_input_tokens)
        place->fault("expected more than the last above_input_tokens");
}

PriceEntry read_entry(Cursor& map) {
    PriceEntry entry;
    entry.vendor = read_needed_text(map, "vendor");
    entry.model = read_needed_text(map, "model");
    read_price(map, entry.price);
    entry.source = read_needed_text(map, "source");
    if (map.need("checked")) entry.checked = read_date(map, "checked");
    entry.effective_from = read_date(map, "effective_from");
    entry.effective_to = read_date(map, "effective_to");
    if (!entry.effective_from.empty() && !entry.effective_to.empty() &&
        entry.effective_to <= entry.effective_from)
        map.fault("effective_to must be after effective_from");
    map.close();
    return entry;
}

bool overlap(const PriceEntry& a, const PriceEntry& b) {
    if (a.vendor != b.vendor || a.model != b.model) return false;
    bool a_ends_first = !a.effective_to.empty() && a.effective_to <= b.effective_from;
    bool b_ends_first = !b.effective_to.empty() && b.effective_to <= a.effective_from;
    return !a_ends_first && !b_ends_first;
}

}  // namespace

PriceBook PriceBook::read(std::string_view yaml, const std::string& file,
                          std::vector<Fault>& faults) {
    PriceBook book;
    auto root = Cursor::parse(yaml, file, faults);
    if (!root || !root->expect_map()) return book;
    if (auto version = root->need("version")) version->integer(1, 1);
    std::vector<Placed> good;
    if (auto list = root->need("prices")) {
        for (Cursor& map : list->items()) {
            if (!map.expect_map()) continue;
            std::size_t before = faults.size();
            PriceEntry entry = read_entry(map);
            if (faults.size() == before) good.push_back(Placed{std::move(entry), map});
        }
    }
    root->close();
    auto by_model = [](const Placed& a, const Placed& b) {
        return std::tie(a.entry.vendor, a.entry.model, a.entry.effective_from) <
               std::tie(b.entry.vendor, b.entry.model, b.entry.effective_from);
    };
    std::stable_sort(good.begin(), good.end(), by_model);
    for (Placed& placed : good) {
        const PriceEntry* last = book.entries_.empty() ? nullptr : &book.entries_.back();
        if (last && overlap(*last, placed.entry)) {
            placed.place.fault("a second price of " + placed.entry.vendor + " " +
                               placed.entry.model +
                               " for the same days: end the other one with "
                               "effective_to, or start this one later with effective_from");
            continue;
        }
        book.entries_.push_back(std::move(placed.entry));
    }
    return book;
}

const PriceBook& PriceBook::builtin() {
    static const PriceBook book = [] {
        std::vector<Fault> faults;
        std::string_view yaml(reinterpret_cast<const char*>(builtin_yaml), sizeof builtin_yaml);
        return read(yaml, "prices.yaml", faults);
    }();
    return book;
}

const PriceEntry* PriceBook::find(std::string_view vendor, std::string_view model,
                                  std::string_view date) const {
    for (const PriceEntry& entry : entries_) {
        if (entry.vendor != vendor || entry.model != model) continue;
        bool begun = entry.effective_from.empty() || entry.effective_from <= date;
        bool ended = !entry.effective_to.empty() && entry.effective_to <= date;
        if (begun && !ended) return &entry;
    }
    return nullptr;
}

}  // namespace sluice
