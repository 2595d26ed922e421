// GGUF reader: one pass over the metadata checks every length against the file and notes where each
// value lies; values are decoded when asked for.
#include "engine/model/gguf.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <unordered_map>
#include <utility>

#include "engine/model/byte_cursor.h"
#include "engine/model/mapped_file.h"

namespace sluice {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF values are read in place");

// Numbers are the file format's (enum gguf_type).
enum class Kind : std::uint32_t {
    u8 = 0,
    i8,
    u16,
    i16,
    u32,
    i32,
    f32,
    boolean,
    text,
    array,
    u64,
    i64,
    f64,
};
constexpr std::uint32_t kind_last = 12;

// Bytes of one value; 0 for text and arrays, which carry their own length.
constexpr std::uint64_t kind_bytes(Kind kind) {
    constexpr std::uint8_t bytes[kind_last + 1] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return bytes[static_cast<std::uint32_t>(kind)];
}

constexpr std::uint64_t text_bytes_min = 8;     // its length
constexpr std::uint64_t entry_bytes_min = 13;   // key length, kind, one byte of value
constexpr std::uint64_t tensor_bytes_min = 32;  // name length, dims count, one dim, type, offset
constexpr std::uint32_t dims_max = 4;
constexpr std::int64_t alignment_default = 32;

struct Entry {
    Kind kind = Kind::u8;
    Kind element = Kind::u8;   // of an array
    std::uint64_t count = 1;   // elements of an array
    std::uint64_t offset = 0;  // of the value, or of an array's first element
};

template <class Number>
Number load(const std::uint8_t* at) {
    Number value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

std::optional<std::int64_t> load_integer(const std::uint8_t* at, Kind kind) {
    switch (kind) {
        case Kind::u8:
            return load<std::uint8_t>(at);
        case Kind::i8:
            return load<std::int8_t>(at);
        case Kind::u16:
            return load<std::uint16_t>(at);
        case Kind::i16:
            return load<std::int16_t>(at);
        case Kind::u32:
            return load<std::uint32_t>(at);
        case Kind::i32:
            return load<std::int32_t>(at);
        case Kind::boolean:
            return load<std::uint8_t>(at) != 0;
        case Kind::i64:
            return load<std::int64_t>(at);
        case Kind::u64: {
            auto value = load<std::uint64_t>(at);
            if (value > std::numeric_limits<std::int64_t>::max()) return std::nullopt;
            return static_cast<std::int64_t>(value);
        }
        case Kind::f32:
        case Kind::f64:
        case Kind::text:
        case Kind::array:
            return std::nullopt;
    }
    return std::nullopt;
}

class MappedGguf final : public GgufFile {
public:
    explicit MappedGguf(const std::string& path) : path_(path) {}

    Status read() {
        Status mapped = mapping_.open(path_);
        if (!mapped) return mapped;
        bytes_ = mapping_.bytes();
        ByteCursor cursor(path_, bytes_);
        read_header(cursor);
        for (std::uint64_t i = 0; i < entry_count_ && cursor.ok(); ++i) read_entry(cursor);
        if (cursor.ok()) refuse_parts(cursor);
        read_alignment(cursor);
        for (std::uint64_t i = 0; i < tensor_count_ && cursor.ok(); ++i) read_tensor(cursor);
        place_tensors(cursor);
        if (!cursor.ok()) return cursor.error();
        return Done{};
    }

    bool has(std::string_view key) const override { return find(key) != nullptr; }
    std::optional<std::int64_t> integer(std::string_view key) const override {
        const Entry* entry = find(key);
        if (entry == nullptr) return std::nullopt;
        return load_integer(bytes_.data() + entry->offset, entry->kind);
    }

    std::optional<double> real(std::string_view key) const override {
        const Entry* entry = find(key);
        if (entry == nullptr) return std::nullopt;
        const std::uint8_t* at = bytes_.data() + entry->offset;
        if (entry->kind == Kind::f32) return load<float>(at);
        if (entry->kind == Kind::f64) return load<double>(at);
        return std::nullopt;
    }

    std::optional<std::string_view> text(std::string_view key) const override {
        const Entry* entry = find(key);
        if (entry == nullptr || entry->kind != Kind::text) return std::nullopt;
        std::uint64_t at = entry->offset;
        return text_at(at);
    }

    std::optional<std::vector<std::string_view>> texts(std::string_view key) const override {
        const Entry* entry = find_array(key);
        if (entry == nullptr || entry->element != Kind::text) return std::nullopt;
        std::vector<std::string_view> out;
        out.reserve(entry->count);
        std::uint64_t at = entry->offset;
        for (std::uint64_t i = 0; i < entry->count; ++i) out.push_back(text_at(at));
        return out;
    }

    std::optional<std::vector<std::int64_t>> integers(std::string_view key) const override {
        const Entry* entry = find_array(key);
        if (entry == nullptr) return std::nullopt;
        std::vector<std::int64_t> out;
        out.reserve(kind_bytes(entry->element) == 0 ? 0 : entry->count);
        const std::uint8_t* at = bytes_.data() + entry->offset;
        for (std::uint64_t i = 0; i < entry->count; ++i, at += kind_bytes(entry->element)) {
            auto value = load_integer(at, entry->element);
            if (!value) return std::nullopt;
            out.push_back(*value);
        }
        return out;
    }

    std::optional<std::vector<float>> reals(std::string_view key) const override {
        const Entry* entry = find_array(key);
        if (entry == nullptr) return std::nullopt;
        if (entry->element != Kind::f32 && entry->element != Kind::f64) return std::nullopt;
        std::vector<float> out(entry->count);
        const std::uint8_t* at = bytes_.data() + entry->offset;
        for (float& value : out) {
            value = entry->element == Kind::f32 ? load<float>(at)
                                                : static_cast<float>(load<double>(at));
            at += kind_bytes(entry->element);
        }
        return out;
    }

    const Tensor* tensor(std::string_view name) const override { return tensors_.find(name); }
    std::span<const Tensor> tensors() const override { return tensors_.all(); }
    const std::string& path() const override { return path_; }
    void let_go(const Tensor& tensor) const override {
        mapping_.let_go({tensor.data, static_cast<std::size_t>(tensor.bytes)});
    }

private:
    const Entry* find(std::string_view key) const {
        auto found = entries_.find(key);
        return found == entries_.end() ? nullptr : &found->second;
    }
    const Entry* find_array(std::string_view key) const {
        const Entry* entry = find(key);
        return entry != nullptr && entry->kind == Kind::array ? entry : nullptr;
    }

    // The text at `at`, which moves past it. Its length was checked when the file was opened.
    std::string_view text_at(std::uint64_t& at) const {
        auto length = load<std::uint64_t>(bytes_.data() + at);
        at += sizeof length + length;
        return {reinterpret_cast<const char*>(bytes_.data() + at - length),
                static_cast<std::size_t>(length)};
    }

    void read_header(ByteCursor& cursor) {
        auto magic = cursor.number<std::uint32_t>("the magic number");
        if (cursor.ok() && magic != 0x46554747)  // "GGUF"
            cursor.fail(0, "expected the magic number 'GGUF': not a GGUF file");
        auto version = cursor.number<std::uint32_t>("the version");
        if (cursor.ok() && version != 2 && version != 3) {
            bool big_endian = (version & 0xFFFF) == 0 && version != 0;
            cursor.fail(4, big_endian ? "big-endian GGUF; only little-endian files are supported"
                                      : "GGUF version " + std::to_string(version) +
                                            "; versions 2 and 3 are supported");
        }
        // Read in the file's order; tensors come after the metadata.
        tensor_count_ = cursor.count(tensor_bytes_min, "the tensor count");
        entry_count_ = cursor.count(entry_bytes_min, "the metadata count");
    }

    Kind read_kind(ByteCursor& cursor, std::string_view key) {
        std::uint64_t offset = cursor.at();
        auto kind = cursor.number<std::uint32_t>("a metadata type");
        if (cursor.ok() && kind > kind_last)
            cursor.fail(offset, "metadata " + in_quotes(key) + " has type " + std::to_string(kind) +
                                    "; types 0 to " + std::to_string(kind_last) + " exist");
        return cursor.ok() ? static_cast<Kind>(kind) : Kind::u8;
    }

    void read_entry(ByteCursor& cursor) {
        std::uint64_t start = cursor.at();
        std::string_view key = cursor.text("a metadata key");
        if (!cursor.ok()) return;
        Entry entry;
        entry.kind = read_kind(cursor, key);
        entry.offset = cursor.at();
        if (entry.kind == Kind::text) {
            cursor.text("metadata " + in_quotes(key));
        } else if (entry.kind == Kind::array) {
            read_array(cursor, key, entry);
        } else {
            cursor.take(kind_bytes(entry.kind), "metadata " + in_quotes(key));
        }
        if (cursor.ok() && !entries_.emplace(key, entry).second)
            cursor.fail(start, "metadata " + in_quotes(key) + " appears twice");
    }

    void read_array(ByteCursor& cursor, std::string_view key, Entry& entry) {
        std::uint64_t offset = cursor.at();
        entry.element = read_kind(cursor, key);
        if (entry.element == Kind::array)
            cursor.fail(offset, "metadata " + in_quotes(key) +
                                    " is an array of arrays, which is not supported");
        bool texts = entry.element == Kind::text;
        std::string what = "the element count of metadata " + in_quotes(key);
        entry.count = cursor.count(texts ? text_bytes_min : kind_bytes(entry.element), what);
        entry.offset = cursor.at();
        if (!texts) {
            cursor.take(entry.count * kind_bytes(entry.element), "metadata " + in_quotes(key));
            return;
        }
        what = "an element of metadata " + in_quotes(key);
        for (std::uint64_t i = 0; i < entry.count && cursor.ok(); ++i) cursor.text(what);
    }

    // One file of several, as large models are put up.
    void refuse_parts(ByteCursor& cursor) {
        const std::int64_t parts = integer("split.count").value_or(1);
        if (parts <= 1) return;
        std::string count = std::to_string(parts);
        if (count.size() < 5) count.insert(0, 5 - count.size(), '0');
        cursor.fail(find("split.count")->offset,
                    "this is one of " + std::to_string(parts) +
                        " files of a split model, which are not read as they are; merge them: "
                        "llama-gguf-split --merge NAME-00001-of-" +
                        count + ".gguf WHOLE.gguf");
    }

    void read_alignment(ByteCursor& cursor) {
        if (find("general.alignment") == nullptr) return;
        alignment_ = integer("general.alignment").value_or(0);
        if (alignment_ < 8 || !std::has_single_bit(static_cast<std::uint64_t>(alignment_)) ||
            alignment_ > (1 << 30))
            cursor.fail(find("general.alignment")->offset,
                        "metadata 'general.alignment' must be a power of two from 8 to 2^30");
    }

    void read_tensor(ByteCursor& cursor) {
        std::uint64_t start = cursor.at();
        Tensor tensor;
        tensor.name = cursor.text("a tensor's name");
        if (!cursor.ok()) return;
        std::string who = "tensor " + in_quotes(tensor.name);
        auto dims = cursor.number<std::uint32_t>(who);
        if (cursor.ok() && (dims == 0 || dims > dims_max))
            cursor.fail(cursor.at() - sizeof dims,
                        who + " has " + std::to_string(dims) + " dimensions; 1 to 4 are supported");
        std::int64_t weights = 1;
        for (std::uint32_t i = 0; i < dims && cursor.ok(); ++i) {
            auto dim = cursor.number<std::int64_t>(who);
            bool fits = dim > 0 && !__builtin_mul_overflow(weights, dim, &weights);
            if (cursor.ok() && !fits)
                cursor.fail(cursor.at() - sizeof dim,
                            who + ": dimension " + std::to_string(i) + " is " +
                                std::to_string(static_cast<std::uint64_t>(dim)) +
                                "; expected at least 1 and fewer than 2^63 weights in all");
            tensor.dims.push_back(dim);
        }
        read_type(cursor, who, tensor, weights);
        tensor.file_offset = cursor.number<std::uint64_t>(who);  // from the data's start for now
        if (!cursor.ok()) return;
        if (!tensors_.add(std::move(tensor))) cursor.fail(start, who + " appears twice");
    }

    static void read_type(ByteCursor& cursor, const std::string& who, Tensor& tensor,
                          std::int64_t weights) {
        std::uint64_t offset = cursor.at();
        tensor.type = static_cast<TensorType>(cursor.number<std::uint32_t>(who));
        if (!cursor.ok()) return;
        int block = block_weights(tensor.type);
        if (block == 0 || tensor.type == TensorType::fp8_e4m3) {
            cursor.fail(offset, who + " has type " +
                                    std::to_string(static_cast<std::uint32_t>(tensor.type)) +
                                    ", which is not supported; supported are f32 (0), f16 (1), "
                                    "q4_0 (2), q4_1 (3), q8_0 (8), q4_k (12), q5_k (13), "
                                    "q6_k (14), bf16 (30)");
            return;
        }
        if (tensor.dims[0] % block != 0)
            cursor.fail(offset, who + " of type " + std::string(type_name(tensor.type)) + " has " +
                                    std::to_string(tensor.dims[0]) +
                                    " weights a row; expected a multiple of " +
                                    std::to_string(block));
        if (__builtin_mul_overflow(weights / block, block_bytes(tensor.type), &tensor.bytes))
            cursor.fail(offset, who + " is larger than 2^63 bytes");
    }

    void place_tensors(ByteCursor& cursor) {
        if (!cursor.ok()) return;
        auto alignment = static_cast<std::uint64_t>(alignment_);
        std::uint64_t start = (cursor.at() + alignment - 1) / alignment * alignment;
        for (Tensor& tensor : tensors_.all()) {
            std::string who = "tensor " + in_quotes(tensor.name);
            std::uint64_t offset = tensor.file_offset;
            if (offset % alignment != 0)
                cursor.fail(start, who + " lies at data offset " + std::to_string(offset) +
                                       ", which is no multiple of the alignment " +
                                       std::to_string(alignment));
            std::uint64_t room = start < bytes_.size() ? bytes_.size() - start : 0;
            auto bytes = static_cast<std::uint64_t>(tensor.bytes);
            if (offset > room || bytes > room - offset)
                cursor.fail(start, who + " needs " + std::to_string(bytes) +
                                       " bytes at data offset " + std::to_string(offset) +
                                       ", but the file has " + std::to_string(room) +
                                       " bytes of data; it is truncated");
            if (!cursor.ok()) return;
            tensor.file_offset = start + offset;
            tensor.data = bytes_.data() + tensor.file_offset;
        }
        check_apart(cursor);
    }

    void check_apart(ByteCursor& cursor) const {
        std::vector<const Tensor*> order;
        for (const Tensor& tensor : tensors_.all()) order.push_back(&tensor);
        std::ranges::sort(order, {}, &Tensor::file_offset);
        for (std::size_t i = 1; i < order.size(); ++i) {
            const std::uint64_t before = order[i - 1]->file_offset;
            if (order[i]->file_offset - before < static_cast<std::uint64_t>(order[i - 1]->bytes))
                return cursor.fail(order[i]->file_offset,
                                   "tensor " + in_quotes(order[i]->name) + " overlaps " +
                                       in_quotes(order[i - 1]->name) + " at offset " +
                                       std::to_string(before));
        }
    }

    std::string path_;
    MappedFile mapping_;
    std::span<const std::uint8_t> bytes_;
    std::uint64_t tensor_count_ = 0;
    std::uint64_t entry_count_ = 0;
    std::int64_t alignment_ = alignment_default;
    std::unordered_map<std::string_view, Entry> entries_;
    TensorTable tensors_;
};

}  // namespace

Result<std::shared_ptr<const GgufFile>> GgufFile::open(const std::string& path) {
    auto file = std::make_shared<MappedGguf>(path);
    Status status = file->read();
    if (!status) return status.error();
    return std::shared_ptr<const GgufFile>(std::move(file));
}

}  // namespace sluice
