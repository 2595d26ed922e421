// The dated price book: providers/prices.yaml or a company's own file. Immutable after load.
// Format (decimals as strings, $ per million tokens):
//   version: 1
//   prices:
//     - vendor: together
//       model: deepseek-ai/DeepSeek-R1
//       input: "3.00"
//       cached_input: "0.30"      # default: input
//       cache_write: "3.75"       # default: input
//       cache_write_1h: "6.00"    # default: cache_write
//       output: "7.00"
//       long_prompts:             # default: none; prices of all tokens of a request whose prompt
//         - above_input_tokens: 200000   # is longer, cached tokens counted; keys as above
//           input: "6.00"
//           output: "14.00"
//       input_tokens_max: 500000  # beyond it the price is unknown; default: known for all
//       source: https://...       # where it was read
//       checked: 2026-08-21
//       effective_from: 2026-01-01   # default: always; effective_to likewise, exclusive
//       allow_extreme: true          # needed above $200 per million
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/result.h"
#include "providers/usage.h"
#include "providers/yaml_cursor.h"

namespace sluice {

struct PriceEntry {
    std::string vendor;
    std::string model;
    Price price;
    std::string source;
    std::string checked;         // YYYY-MM-DD
    std::string effective_from;  // YYYY-MM-DD, "" = always
    std::string effective_to;    // exclusive, "" = open
};

class PriceBook {
public:
    // Every fault of the file is appended to `faults`; the book then holds the good entries.
    static PriceBook read(std::string_view yaml, const std::string& file,
                          std::vector<Fault>& faults);
    static const PriceBook& builtin();

    // The entry in force on `date` (YYYY-MM-DD), or nullptr: unknown fails closed.
    const PriceEntry* find(std::string_view vendor, std::string_view model,
                           std::string_view date) const;
    const std::vector<PriceEntry>& entries() const { return entries_; }

private:
    std::vector<PriceEntry> entries_;
};

}  // namespace sluice
