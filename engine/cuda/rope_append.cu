#include "engine/cuda/attention.cuh"
#include "engine/cuda/launch.cuh"

namespace sluice::cuda {
namespace {

constexpr int rope_warps = 8;

struct Rotation {
    float cosine = 1.0F, sine = 0.0F;
};

// The turn position * frequency / (2 pi) in two floats, whole turns taken off before the low part
// is added: position * frequency alone would be off by 0.004 radians at position 100000.
__device__ Rotation rotation_at(int position, float frequency) {
    constexpr float turn_high = 0.15915494F;
    constexpr float turn_low = 6.4206383e-09F;  // 1 / (2 pi) - turn_high
    const auto p = static_cast<float>(position);
    const float high = p * frequency;
    const float low = fmaf(p, frequency, -high);
    const float turns = high * turn_high;
    const float rest = fmaf(high, turn_high, -turns) + high * turn_low + low * turn_high;
    const float part = (turns - rintf(turns)) + rest;
    Rotation out;
    sincospif(2.0F * part, &out.sine, &out.cosine);
    return out;
}

template <class T, int N>
struct alignas(sizeof(T) * N) Run {
    T at[N];
};

struct RopeIn {
    const float* qkv;
    const float* bias;
    const float* frequency;
    bf16* query;
};

// N pairs of a head: elements first + j and second + j of it.
template <int N>
struct Pairs {
    Run<float, N> x, y;
    int first, second;

    __device__ void load(const float* head) {
        x = *reinterpret_cast<const Run<float, N>*>(head + first);
        y = *reinterpret_cast<const Run<float, N>*>(head + second);
    }
    __device__ void add(const float* head) {
        for (int j = 0; j < N; ++j) {
            x.at[j] += head[first + j];
            y.at[j] += head[second + j];
        }
    }
    __device__ void rotate(const Rotation (&rotation)[N]) {
        for (int j = 0; j < N; ++j) {
            const float turned = x.at[j] * rotation[j].cosine - y.at[j] * rotation[j].sine;
            y.at[j] = y.at[j] * rotation[j].cosine + x.at[j] * rotation[j].sine;
            x.at[j] = turned;
        }
    }
    template <class Code>
    __device__ void store(Code* head, float factor) const {
        Run<Code, N> low, high;
        for (int j = 0; j < N; ++j) {
            low.at[j] = Code(x.at[j] * factor);  // e4m3 saturates
            high.at[j] = Code(y.at[j] * factor);
        }
        *reinterpret_cast<Run<Code, N>*>(head + first) = low;
        *reinterpret_cast<Run<Code, N>*>(head + second) = high;
    }
};

// Lane l holds pairs l N .. l N + N - 1; those beyond the rotated dims are made of what stays, and
// turned by nothing.
// The tables are read before the kernel ahead ends: see attention.h.
template <int D, class Code>
__global__ void __launch_bounds__(rope_warps * 32)
    rope_append_kernel(RopeIn in, KvLayer kv, StepTables tables, AttentionShape shape) {
    constexpr int N = D / 64;
    const int token = static_cast<int>(blockIdx.x);
    const int slot = tables.slot[token];
    const bool padding = slot < 0;
    const int position = padding ? 0 : tables.position[token];
    const int pair = static_cast<int>(threadIdx.x) % 32 * N;
    const int Q = shape.query_heads;
    const int K = kv.kv_heads;
    const int half = shape.rope_dims / 2;
    const bool turns = pair < half;
    Pairs<N> pairs{};
    pairs.first = turns ? pair : pair + half;
    pairs.second = turns ? pair + half : pair + D / 2;
    Rotation rotation[N];
    if (turns)
        for (int j = 0; j < N; ++j) rotation[j] = rotation_at(position, in.frequency[pair + j]);
    const std::int64_t entry =
        static_cast<std::int64_t>(slot) * tables.page_stride + position / page_positions;
    const int page = padding ? 0 : tables.page_table[entry];
    const int within = position % page_positions * D;
    const float query_scale = 1.44269504F * rsqrtf(static_cast<float>(D));
    const float* row = in.qkv + static_cast<std::int64_t>(token) * (Q + 2 * K) * D;
    bf16* query = in.query + static_cast<std::int64_t>(token) * Q * D;
    const int heads = padding ? Q : Q + 2 * K;
    wait_for_previous();
    let_next_start();  // only now: see attend_decode
    for (int head = static_cast<int>(blockIdx.y * rope_warps + threadIdx.x / 32); head < heads;
         head += static_cast<int>(gridDim.y) * rope_warps) {
        if (!padding) {
            pairs.load(row + head * D);
            if (in.bias != nullptr) pairs.add(in.bias + head * D);
        }
        if (head < Q + K) pairs.rotate(rotation);
        if (head < Q) {
            pairs.store(query + head * D, query_scale);
        } else if (head < Q + K) {
            const int k = head - Q;
            pairs.store(reinterpret_cast<Code*>(kv.keys(page, k)) + within, 1.0F / kv.key_scale(k));
        } else {
            const int k = head - Q - K;
            pairs.store(reinterpret_cast<Code*>(kv.values(page, k)) + within,
                        1.0F / kv.value_scale(k));
        }
    }
}

}  // namespace

std::int64_t kv_page_bytes(KvFormat format, int layers, int kv_heads, int head_dim) {
    const std::int64_t code_bytes = format == KvFormat::bf16 ? 2 : 1;
    return std::int64_t{2} * layers * kv_heads * page_positions * head_dim * code_bytes;
}

void rope_append(const float* qkv, const float* bias, const float* frequency, bf16* query,
                 const KvCache& kv, int layer, const StepTables& tables, AttentionShape shape,
                 int T, cudaStream_t stream) {
    // Few tokens: a head a warp. Many: a token a block, so that its angles are made once.
    const int heads = shape.query_heads + 2 * kv.kv_heads;
    const int parts = T < 64 ? (heads + rope_warps - 1) / rope_warps : 1;
    const dim3 grid(static_cast<unsigned>(T), static_cast<unsigned>(parts));
    const bool wide = kv.head_dim == 128;
    const bool fp8 = kv.format == KvFormat::fp8_e4m3;
    auto* kernel = wide ? (fp8 ? rope_append_kernel<128, e4m3> : rope_append_kernel<128, bf16>)
                        : (fp8 ? rope_append_kernel<64, e4m3> : rope_append_kernel<64, bf16>);
    launch(kernel, grid, rope_warps * 32, 0, stream, RopeIn{qkv, bias, frequency, query},
           layer_of(kv, layer), tables, shape);
}

}  // namespace sluice::cuda
