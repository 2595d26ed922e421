// What an engine whose KV cache has 8 bits a number reads first, to see how large the model's keys
// and values are: some of everything that people ask about, a few hundred tokens in any vocabulary.
#pragma once

#include <string_view>

namespace sluice {

inline constexpr std::string_view calibration_text =
    R"(The harbour town woke slowly. Fishermen dragged their boats over wet stones while the baker,
who had been up since three, leaned out of her window and asked whether anyone had seen the ferry.
"Not today," said an old man. "The wind is from the north-east, and it will stay there."

def merge(left, right):
    out, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        if left[i] <= right[j]:
            out.append(left[i]); i += 1
        else:
            out.append(right[j]); j += 1
    return out + left[i:] + right[j:]

SELECT team, SUM(cost_usd) AS total FROM entries WHERE day >= '2026-01-01' GROUP BY team;

{"name": "sensor-17", "values": [0.25, -3.5e-4, 1024], "ok": true, "tags": ["x", "y"]}

Let f(x) = x^2 - 4x + 3. Its roots are x = 1 and x = 3, since 1 + 3 = 4 and 1 * 3 = 3; the least
value is f(2) = -1. Hence \int_1^3 f(x) dx = -4/3. Check: 27/3 - 18 + 9 - (1/3 - 2 + 3) = -4/3.

Dear Ms. Okafor, thank you for your letter of 14 March. The invoice (no. 20873) was paid on the
second; please find the receipt enclosed. Should anything be missing, call +44 20 7946 0958.

Der Zug nach Hamburg hat zwanzig Minuten Verspätung. ¿Dónde está la biblioteca más cercana?
Ils ont marché jusqu'à la rivière sans dire un mot. 今天的会议改到下午三点，请大家提前准备材料。
東京は雨です。Сегодня холодно, но ясно. हमें पानी चाहिए। مرحبا بكم

1. Rinse the rice. 2. Boil 300 ml of water. 3. Simmer for 12 minutes; do not lift the lid!
Patients with a fever above 39.5 °C, a stiff neck or confusion should see a doctor at once.
Is a virus alive? Biologists disagree: it has genes and evolves, but it has no metabolism. 🚀
)";

}  // namespace sluice
