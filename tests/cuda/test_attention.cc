#include <catch2/catch.hpp>
#include <string>

#include "engine/cuda/arranged.h"
#include "tests/cuda/attention_world.h"

using namespace sluice::cuda;

namespace {

const std::vector<Heads> shapes = {{3, 3, 64},   {9, 3, 64},   {10, 2, 128},
                                   {14, 2, 128}, {12, 2, 128}, {8, 1, 64},
                                   {16, 2, 128}, {16, 1, 128}, {40, 8, 128}};

struct Tokens {
    std::vector<std::int32_t> position, slot;
};

template <class Out>
std::vector<Out> decode(AttentionWorld& world, const std::vector<bf16>& query, const Tokens& tokens,
                        int context_max) {
    const int T = static_cast<int>(tokens.slot.size());
    const AttentionShape shape{world.heads().query, world.heads().dim};
    const KvCache cache = world.cache();
    DeviceBuffer<bf16> in(query);
    DeviceBuffer<Out> out(query.size());
    DeviceBuffer<std::int32_t> position(tokens.position), slot(tokens.slot), table(world.table());
    DeviceBuffer<std::uint8_t> workspace(std::vector<std::uint8_t>(
        attend_workspace_bytes(T, shape, world.heads().dim, context_max), 0));
    const StepTables tables{position.get(), slot.get(), table.get(), AttentionWorld::stride};
    for (int twice = 0; twice < 2; ++twice)  // the second call finds the counters as it needs them
        attend_decode(in.get(), out.get(), std::is_same_v<Out, bf16>, cache, AttentionWorld::layer,
                      tables, shape, T, context_max, workspace.get(), nullptr);
    return out.host();
}

template <class Out>
std::vector<Out> prefill(AttentionWorld& world, const std::vector<bf16>& query,
                         const std::vector<Tile>& tiles) {
    const AttentionShape shape{world.heads().query, world.heads().dim};
    const KvCache cache = world.cache();
    DeviceBuffer<bf16> in(query);
    DeviceBuffer<Out> out(query.size());
    DeviceBuffer<Tile> on_device(tiles);
    DeviceBuffer<std::int32_t> table(world.table());
    const StepTables tables{nullptr, nullptr, table.get(), AttentionWorld::stride};
    attend_prefill(in.get(), out.get(), std::is_same_v<Out, bf16>, cache, AttentionWorld::layer,
                   tables, shape, on_device.get(), static_cast<int>(tiles.size()), 0, nullptr);
    return out.host();
}

// The same in the order of arranged.h, brought back into rows; nothing where that is not to be had.
std::vector<f16> prefill_arranged(AttentionWorld& world, const std::vector<bf16>& query,
                                  const std::vector<Tile>& tiles) {
    const AttentionShape shape{world.heads().query, world.heads().dim};
    const KvCache cache = world.cache();
    if (!attend_prefill_arranges(cache)) return {};
    const int columns = shape.query_heads * world.heads().dim;
    const int T = static_cast<int>(query.size()) / columns;
    const int rows = (T + 127) / 128 * 128;
    DeviceBuffer<bf16> in(query);
    DeviceBuffer<f16> out(arranged_bytes(rows, columns) / sizeof(f16));
    DeviceBuffer<Tile> on_device(tiles);
    DeviceBuffer<std::int32_t> table(world.table());
    const StepTables tables{nullptr, nullptr, table.get(), AttentionWorld::stride};
    attend_prefill(in.get(), out.get(), false, cache, AttentionWorld::layer, tables, shape,
                   on_device.get(), static_cast<int>(tiles.size()), rows, nullptr);
    const std::vector<f16> all = out.host();
    std::vector<f16> plain;
    for (int t = 0; t < T; ++t)
        for (int c = 0; c < columns; ++c)
            plain.push_back(
                all[static_cast<std::size_t>(arranged_place(t, c - c % 2, rows) / 2 + c % 2)]);
    return plain;
}

// Tiles of tokens [0, count) of a slot, from a row of the query and a position on, `step` a tile.
void add_tiles(std::vector<Tile>& tiles, int slot, int token, int position, int count,
               int step = prefill_tile) {
    for (int i = 0; i < count; i += step)
        tiles.push_back({token + i, std::min(step, count - i), position + i, slot});
}

std::size_t row_of(const AttentionWorld& world, int t) {
    return static_cast<std::size_t>(t * world.heads().query * world.heads().dim);
}

}  // namespace

TEST_CASE("decode attends to each token's own context, whatever its length", "[attention]") {
    const Heads heads = GENERATE(from_range(shapes));
    const KvFormat format = GENERATE(KvFormat::bf16, KvFormat::fp8_e4m3);
    const std::vector<int> contexts = {1, 63, 64, 65, 1000, 4097};
    AttentionWorld world(format, heads, contexts);
    const Tokens tokens{{999, 0, 0, 62, 63, 4096, 64}, {4, 0, -1, 1, 2, 5, 3}};
    const int T = static_cast<int>(tokens.slot.size());
    const auto query = world.queries(T, 2);
    const auto out = decode<f16>(world, query, tokens, 5000);
    const auto rough = decode<bf16>(world, query, tokens, 4097);
    for (int t = 0; t < T; ++t) {
        const auto at = static_cast<std::size_t>(t);
        const f16* row = out.data() + row_of(world, t);
        CAPTURE(heads.query, heads.kv, heads.dim, t);
        if (tokens.slot[at] < 0) {
            for (std::size_t i = 0; i < row_of(world, 1); ++i) REQUIRE(as_double(row[i]) == 0);
            continue;
        }
        const auto want =
            world.attend(query.data() + row_of(world, t), tokens.slot[at], tokens.position[at]);
        REQUIRE(relative_error(row, want) <= 1e-2);
        REQUIRE(relative_error(rough.data() + row_of(world, t), want) <= 1e-2);
    }
}

TEST_CASE("decode of many sequences, some padding, is each one's own", "[attention]") {
    const KvFormat format = GENERATE(KvFormat::bf16, KvFormat::fp8_e4m3);
    const int T = GENERATE(37, 256);
    std::vector<int> contexts;
    Tokens tokens;
    for (int t = 0; t < T; ++t) {
        contexts.push_back(t % 50 == 3 ? 2500 : 1 + t * 37 % 400);
        tokens.position.push_back(contexts.back() - 1);
        tokens.slot.push_back(t % 7 == 6 || t > T - 5 ? -1 : t);
    }
    AttentionWorld world(format, {3, 1, 64}, contexts);
    const auto query = world.queries(T, 2);
    const auto out = decode<f16>(world, query, tokens, 4000);
    for (int t = 0; t < T; ++t) {
        CAPTURE(t);
        const f16* row = out.data() + row_of(world, t);
        const auto at = static_cast<std::size_t>(t);
        if (tokens.slot[at] < 0) {
            for (std::size_t i = 0; i < row_of(world, 1); ++i) REQUIRE(as_double(row[i]) == 0);
            continue;
        }
        const auto want = world.attend(query.data() + row_of(world, t), t, tokens.position[at]);
        REQUIRE(relative_error(row, want) <= 1e-2);
    }
}

TEST_CASE("a token's decode does not depend on what runs beside it, bit for bit", "[attention]") {
    const KvFormat format = GENERATE(KvFormat::bf16, KvFormat::fp8_e4m3);
    AttentionWorld world(format, {10, 2, 128}, {1, 700, 4500, 130});
    const Tokens tokens{{0, 699, 4499, 129}, {0, 1, 2, 3}};
    const auto query = world.queries(4);
    const auto together = decode<f16>(world, query, tokens, 5000);
    const std::size_t row = row_of(world, 1);
    for (std::size_t t = 0; t < 4; ++t) {
        const std::vector<bf16> one(query.begin() + static_cast<std::ptrdiff_t>(t * row),
                                    query.begin() + static_cast<std::ptrdiff_t>((t + 1) * row));
        const auto alone = decode<f16>(world, one, {{tokens.position[t]}, {tokens.slot[t]}},
                                       tokens.position[t] + 1);
        REQUIRE(std::memcmp(alone.data(), together.data() + t * row, row * 2) == 0);
    }
}

TEST_CASE("prefill attends causally over earlier chunks and its own, ragged", "[attention]") {
    const Heads heads = GENERATE(from_range(shapes));
    const KvFormat format = GENERATE(KvFormat::bf16, KvFormat::fp8_e4m3);
    AttentionWorld world(format, heads, {1, 63, 64, 200, 1130});
    std::vector<Tile> tiles;
    add_tiles(tiles, 0, 0, 0, 1);
    add_tiles(tiles, 1, 1, 0, 63);
    tiles.push_back({0, 1, 0, -1});
    add_tiles(tiles, 2, 64, 0, 64, 17);
    add_tiles(tiles, 3, 128, 0, 200);
    add_tiles(tiles, 4, 330, 1000, 130);
    const int T = 330 + 130;
    const auto query = world.queries(T, 2);
    const auto out = prefill<f16>(world, query, tiles);
    const auto rough = prefill<bf16>(world, query, tiles);
    const auto arranged = prefill_arranged(world, query, tiles);
    for (const Tile& tile : tiles)
        for (int i = 0; i < tile.count && tile.slot >= 0 && !arranged.empty(); ++i) {
            const std::size_t at = row_of(world, tile.token + i);
            REQUIRE(std::memcmp(out.data() + at, arranged.data() + at, row_of(world, 1) * 2) == 0);
        }
    for (const Tile& tile : tiles)
        for (int i = 0; i < tile.count && tile.slot >= 0; i += tile.slot == 4 ? 43 : 7) {
            CAPTURE(heads.query, heads.kv, heads.dim, tile.slot, tile.position, i);
            const std::size_t at = row_of(world, tile.token + i);
            const auto want = world.attend(query.data() + at, tile.slot, tile.position + i);
            REQUIRE(relative_error(out.data() + at, want) <= 1e-2);
            REQUIRE(relative_error(rough.data() + at, want) <= 1e-2);
        }
    for (std::size_t i = row_of(world, 328); i < row_of(world, 330); ++i)
        REQUIRE(std::isnan(as_double(out[i])));  // no tile's: as it was
}

TEST_CASE("contexts as long as models take are attended to whole", "[attention][long]") {
    const Heads heads = GENERATE(Heads{10, 2, 128}, Heads{12, 2, 128}, Heads{8, 1, 64});
    const KvFormat format = GENERATE(KvFormat::bf16, KvFormat::fp8_e4m3);
    const std::vector<int> contexts = {8192, 16385, 131072, 31};
    AttentionWorld world(format, heads, contexts);
    const Tokens tokens{{8191, 16384, 131071, 30, 100000}, {0, 1, 2, 3, 2}};
    const auto query = world.queries(5, 2);
    const auto decoded = decode<f16>(world, query, tokens, 131072);
    for (int t = 0; t < 5; ++t) {
        const auto at = static_cast<std::size_t>(t);
        CAPTURE(heads.query, heads.kv, heads.dim, tokens.position[at]);
        const auto want =
            world.attend(query.data() + row_of(world, t), tokens.slot[at], tokens.position[at]);
        REQUIRE(relative_error(decoded.data() + row_of(world, t), want) <= 1e-2);
    }
    // The last chunk of each prompt.
    constexpr int count = 150;
    std::vector<Tile> tiles;
    for (int slot = 0; slot < 3; ++slot)
        add_tiles(tiles, slot, slot * count, contexts[static_cast<std::size_t>(slot)] - count,
                  count);
    const auto rows = world.queries(3 * count, 2);
    const auto out = prefill<f16>(world, rows, tiles);
    for (int slot = 0; slot < 3; ++slot)
        for (int i : {0, count - 1}) {
            const int position = contexts[static_cast<std::size_t>(slot)] - count + i;
            CAPTURE(heads.query, heads.kv, heads.dim, position);
            const std::size_t at = row_of(world, slot * count + i);
            const auto want = world.attend(rows.data() + at, slot, position);
            REQUIRE(relative_error(out.data() + at, want) <= 1e-2);
        }
}

// On random keys one of 131,072 that is left out is no loss to be seen: here it is the answer.
TEST_CASE("no key of a long context is left out, and none ahead is seen", "[attention][long]") {
    const Heads heads = GENERATE(Heads{10, 2, 128}, Heads{12, 2, 128}, Heads{8, 1, 64});
    const KvFormat format = GENERATE(KvFormat::bf16, KvFormat::fp8_e4m3);
    CAPTURE(heads.query, heads.kv, heads.dim);
    const int context = GENERATE(2047, 16385, 131072);
    AttentionWorld world(format, heads, {context});
    // The ends of pages all over the context, and with them those of the pieces it is cut into.
    std::vector<int> positions = {0, 1, context - 2, context - 1};
    const int pages = context / 64;
    for (int i = 0; i < 126; ++i) {
        const int page = 1 + i * (pages - 1) / 126;
        positions.insert(positions.end(), {page * 64 - 1, page * 64});
    }
    const int T = static_cast<int>(positions.size());
    const auto seen = [&](const f16* row, int position) {
        return relative_error(row, world.value_at(0, position));
    };
    std::vector<bf16> query;
    for (const int position : positions)
        for (const bf16 value : world.query_for(0, position)) query.push_back(value);
    const auto size = static_cast<std::size_t>(T);
    const Tokens tokens{std::vector<std::int32_t>(size, context - 1),
                        std::vector<std::int32_t>(size, 0)};
    const auto decoded = decode<f16>(world, query, tokens, context);
    for (int t = 0; t < T; ++t) {
        CAPTURE(context, positions[static_cast<std::size_t>(t)]);
        CHECK(seen(decoded.data() + row_of(world, t), positions[static_cast<std::size_t>(t)]) <=
              0.5);
    }
    // The same queries as the last tokens of the prompt, each of which sees itself, not the next.
    std::vector<Tile> tiles;
    add_tiles(tiles, 0, 0, context - T, T);
    const auto out = prefill<f16>(world, query, tiles);
    for (int t = 0; t < T; ++t) {
        const int position = positions[static_cast<std::size_t>(t)], own = context - T + t;
        CAPTURE(context, position, own);
        const double off = seen(out.data() + row_of(world, t), position);
        if (position <= own)
            CHECK(off <= 0.5);
        else
            CHECK(off > 0.7);
    }
    query.clear();
    for (int t = 0; t < T; ++t)
        for (const bf16 value :
             world.query_for(0, std::min(context - T + t + (t % 2), context - 1)))
            query.push_back(value);
    const auto edge = prefill<f16>(world, query, tiles);
    for (int t = 0; t + 1 < T; ++t) {
        CAPTURE(context, t);
        const double off = seen(edge.data() + row_of(world, t), context - T + t + (t % 2));
        if (t % 2 == 0)
            CHECK(off <= 0.5);
        else
            CHECK(off > 0.7);
    }
}

TEST_CASE("a prompt in chunks is the prompt whole; its last token is what decode gives",
          "[attention]") {
    const KvFormat format = GENERATE(KvFormat::bf16, KvFormat::fp8_e4m3);
    AttentionWorld world(format, {10, 2, 128}, {777});
    const auto query = world.queries(777);
    std::vector<Tile> whole, chunks;
    add_tiles(whole, 0, 0, 0, 777);
    for (int from = 0; from < 777; from += 100)
        add_tiles(chunks, 0, from, from, std::min(100, 777 - from), 37);
    const auto once = prefill<f16>(world, query, whole);
    const auto parts = prefill<f16>(world, query, chunks);
    std::vector<double> want(once.size());
    std::transform(once.begin(), once.end(), want.begin(), [](f16 v) { return as_double(v); });
    REQUIRE(relative_error(parts.data(), want) <= 1e-3);
    const std::size_t last = row_of(world, 776);
    const std::vector<bf16> row(query.begin() + static_cast<std::ptrdiff_t>(last), query.end());
    const auto token = decode<f16>(world, row, {{776}, {0}}, 777);
    want.erase(want.begin(), want.begin() + static_cast<std::ptrdiff_t>(last));
    REQUIRE(relative_error(token.data(), want) <= 5e-3);
}

TEST_CASE("scores of a hundred thousand give no NaN and the right winner", "[attention]") {
    const KvFormat format = GENERATE(KvFormat::bf16, KvFormat::fp8_e4m3);
    AttentionWorld world(format, {10, 2, 128}, {300}, 30);
    const auto query = world.queries(300, 3e3);
    const int position = 299;
    std::vector<Tile> tiles;
    add_tiles(tiles, 0, 0, 0, 300);
    const auto out = prefill<bf16>(world, query, tiles);
    for (int t : {0, 150, position}) {
        const auto want = world.attend(query.data() + row_of(world, t), 0, t);
        REQUIRE(relative_error(out.data() + row_of(world, t), want) <= 1e-2);
        const std::vector<bf16> row(
            query.begin() + static_cast<std::ptrdiff_t>(row_of(world, t)),
            query.begin() + static_cast<std::ptrdiff_t>(row_of(world, t + 1)));
        REQUIRE(relative_error(decode<bf16>(world, row, {{t}, {0}}, 300).data(), want) <= 1e-2);
    }
}
