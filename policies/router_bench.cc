#include "policies/router_bench.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>

#include "policies/blend.h"
#include "policies/calibrate.h"
#include "policies/classify_lines.h"

namespace sluice {
namespace {

constexpr std::size_t pairs_min = 20, outcomes_min = 100;
constexpr std::size_t flips_rows_max = 1'000, speed_rows_max = 2'000;

using Sources = std::map<std::string, std::vector<std::size_t>>;

Sources sources_of(std::span<const RouterRow> rows, Shown shown) {
    Sources sources;
    for (std::size_t i = 0; i < rows.size(); ++i)
        if (rows[i].paired && is_shown(rows[i], shown)) sources[rows[i].source].push_back(i);
    return sources;
}

// Of a text of a calibrated kind.
struct Said {
    Outcome outcome;
    Domain domain;
    std::uint64_t cluster;
};

// The calibration error that is left when each is calibrated on those of other fifths of the
// clusters.
double ece_by_own(const std::vector<Said>& all) {
    constexpr std::uint64_t parts = 5;
    auto part_of = [](const Said& one) { return one.cluster * 0x9e3779b97f4a7c15ULL >> 33; };
    std::vector<double> right, expected;
    for (std::size_t at = 0; at < domain_count; ++at)
        for (std::uint64_t part = 0; part < parts; ++part) {
            std::vector<Outcome> others;
            for (const Said& one : all)
                if (one.domain == static_cast<Domain>(at) && part_of(one) % parts != part)
                    others.push_back(one.outcome);
            Calibration calibration = fit_calibration(others);
            for (const Said& one : all) {
                if (one.domain != static_cast<Domain>(at) || part_of(one) % parts != part) continue;
                right.push_back(one.outcome.ok);
                expected.push_back(calibrated(one.outcome.p, calibration));
            }
        }
    return ece_of(right, expected);
}

bool tells_calibration(const RouterRow& row, const Difficulty& said) {
    return (row.weak == 0 || row.weak == 1) && is_calibrated(said.domain);
}

RouterFigures figures_of(const std::string& source, const std::vector<std::size_t>& members,
                         std::span<const RouterRow> rows, std::span<const Difficulty> said) {
    RouterFigures out;
    out.source = source;
    Rankings ranked;
    std::vector<bool> fails;
    std::vector<double> score, wrong, expected;
    std::vector<Said> calibrated_kinds;
    for (std::size_t i : members) {
        const RouterRow& row = rows[i];
        ranked.add(row, said[i].gain);
        bool graded = row.weak > 1 || row.strong > 1;
        fails.push_back(row.weak < (graded ? row.strong : 0.5));
        score.push_back(said[i].score);
        if (!tells_calibration(row, said[i])) continue;
        wrong.push_back(1 - row.weak);
        expected.push_back(said[i].score);
        calibrated_kinds.push_back({{1 - said[i].score, row.weak}, said[i].domain, row.cluster});
    }
    out.auc = auc_of(fails, score);
    bool enough = wrong.size() >= outcomes_min;
    out.ece = enough ? ece_of(wrong, expected) : std::numeric_limits<double>::quiet_NaN();
    out.ece_own = enough ? ece_by_own(calibrated_kinds) : out.ece;
    out.ece_chance = enough ? ece_by_chance(expected) : out.ece;
    static_cast<RankingFigures&>(out) = ranking_figures({&ranked, 1});
    return out;
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// In every twentieth word of four letters or more, in turn: two swapped, one lost, one doubled.
std::string with_typos(const std::string& text) {
    constexpr std::size_t every = 20, letters_min = 4;
    std::string out;
    std::size_t words = every / 2, slips = 0;
    for (std::size_t at = 0; at < text.size();) {
        std::size_t end = at;
        while (end < text.size() && is_letter(text[end])) ++end;
        std::string word = text.substr(at, std::max<std::size_t>(end - at, 1));
        at += word.size();
        if (word.size() >= letters_min && ++words % every == 0) {
            std::size_t place = 1 + words / every % (word.size() - 2);
            switch (slips++ % 3) {
                case 0:
                    std::swap(word[place], word[place + 1]);
                    break;
                case 1:
                    word.erase(place, 1);
                    break;
                case 2:
                    word.insert(place, 1, word[place]);
                    break;
                default:  // no other remainder
                    break;
            }
        }
        out += word;
    }
    return out;
}

std::string in_small_letters(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 'a' - 'A');
    return text;
}

std::string with_spaces(const std::string& text) {
    std::string out;
    for (char c : text) out += c == ' ' ? "  " : std::string(1, c);
    return out + "\n";
}

FlipFigures flips_of(const Classifier& classifier, const std::string& source,
                     const std::vector<std::size_t>& members, std::span<const RouterRow> rows) {
    FlipFigures out;
    out.source = source;
    out.prompts = std::min(members.size(), flips_rows_max);
    std::vector<double> plain;
    for (std::size_t n = 0; n < out.prompts; ++n)
        plain.push_back(classifier.classify(request_of(rows[members[n]].prompt)).gain);
    std::vector<double> sorted = plain;
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<long>(sorted.size() / 2),
                     sorted.end());
    double middle = sorted[sorted.size() / 2], each = 1 / static_cast<double>(out.prompts);
    for (std::size_t n = 0; n < out.prompts; ++n) {
        const std::string& prompt = rows[members[n]].prompt;
        auto flip = [&](const std::string& noisy) {
            double gain = classifier.classify(request_of(noisy)).gain;
            return (gain >= middle) != (plain[n] >= middle) ? each : 0.0;
        };
        out.typos += flip(with_typos(prompt));
        out.letter_case += flip(in_small_letters(prompt));
        out.spaces += flip(with_spaces(prompt));
        out.greeting += flip("Hi, " + prompt + " Thanks!");
    }
    return out;
}

// Prompts from all over the data, laid end to end and cut.
std::vector<std::string> texts_of(std::span<const std::string_view> prompts, std::size_t bytes) {
    constexpr std::size_t stride = 7'919;  // a prime: every prompt comes once
    std::vector<std::string> texts;
    std::string text;
    for (std::size_t i = 0; i < prompts.size() && texts.size() < speed_rows_max; ++i) {
        text.append(prompts[i * stride % prompts.size()]).append("\n");
        if (text.size() < bytes) continue;
        texts.push_back(text.substr(0, bytes));
        text.clear();
    }
    return texts;
}

}  // namespace

bool kept_back(const RouterRow& row) {
    return ((row.cluster ^ 0x5851f42d4c957f2dULL) * 0xd6e8feb86659fd93ULL >> 40) % 4 == 0;
}

bool is_shown(const RouterRow& row, Shown shown) {
    return shown == Shown::all || kept_back(row) == (shown == Shown::kept_back);
}

std::vector<RouterFigures> measure_routing(std::span<const RouterRow> rows,
                                           std::span<const Difficulty> said, Shown shown) {
    std::vector<RouterFigures> out;
    for (const auto& [source, members] : sources_of(rows, shown))
        if (members.size() >= pairs_min) out.push_back(figures_of(source, members, rows, said));
    return out;
}

CalibrationFigures measure_calibration(std::span<const RouterRow> rows,
                                       std::span<const Difficulty> said, Shown shown) {
    std::vector<double> wrong, expected;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (!rows[i].paired || !is_shown(rows[i], shown)) continue;
        if (!tells_calibration(rows[i], said[i])) continue;
        wrong.push_back(1 - rows[i].weak);
        expected.push_back(said[i].score);
    }
    return {wrong.size(), ece_of(wrong, expected), ece_by_chance(expected)};
}

std::vector<FlipFigures> measure_flips(const Classifier& classifier,
                                       std::span<const RouterRow> rows, Shown shown) {
    std::vector<FlipFigures> out;
    for (const auto& [source, members] : sources_of(rows, shown))
        if (members.size() >= pairs_min) out.push_back(flips_of(classifier, source, members, rows));
    return out;
}

RouterSpeed measure_speed(const Classifier& classifier, std::span<const std::string_view> prompts,
                          std::size_t bytes) {
    using Clock = std::chrono::steady_clock;
    const std::vector<std::string> texts = texts_of(prompts, bytes);
    RouterSpeed out;
    out.bytes = bytes;
    if (texts.empty()) return out;
    struct Pass {
        double p50 = 0, p99 = 0;
    };
    std::vector<Pass> passes;
    double checked = 0;
    for (std::size_t pass = 0; pass < speed_passes; ++pass) {
        std::vector<double> us;
        for (const std::string& text : texts) {
            const ChatRequest request = request_of(text);
            auto start = Clock::now();
            checked += classifier.classify(request).score;
            us.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
        }
        std::sort(us.begin(), us.end());
        passes.push_back({us[us.size() / 2], us[us.size() * 99 / 100]});
    }
    if (checked < 0) return out;
    std::sort(passes.begin(), passes.end(),
              [](const Pass& a, const Pass& b) { return a.p50 < b.p50; });
    out.prompts = texts.size();
    out.p50_us = passes.front().p50;
    out.p99_us = passes.front().p99;
    out.p50_usual_us = passes[passes.size() / 2].p50;
    return out;
}

}  // namespace sluice
