// Writes small GGUF files for tests: metadata of every kind, tensors of any type with given bytes.
//     GgufWriter file;
//     file.set("general.architecture", "llama");
//     file.set("llama.block_count", std::uint32_t{2});
//     file.set("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b"});
//     file.tensor("output_norm.weight", TensorType::f32, {64}, raw_bytes(weights));
//     TempFile model(file.bytes());
//     auto opened = GgufFile::open(model.path());
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "engine/model/gguf.h"

namespace sluice {

// The memory of `values`, as a tensor's bytes.
template <class Value>
std::string raw_bytes(const std::vector<Value>& values) {
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(Value)};
}

class GgufWriter {
public:
    explicit GgufWriter(std::uint32_t version = 3) : version_(version) {}

    // The C++ type chooses the kind: std::uint32_t{1} is a u32, 1.0f an f32, true a bool.
    template <class Value>
    void set(std::string_view key, const Value& value) {
        ++entry_count_;
        put_text(entries_, key);
        put(entries_, kind_of<Value>());
        put_value(entries_, value);
    }
    void set(std::string_view key, const char* value) { set(key, std::string(value)); }
    void set(std::string_view key, std::string_view value) { set(key, std::string(value)); }
    template <class Value>
    void set(std::string_view key, const std::vector<Value>& values) {
        ++entry_count_;
        put_text(entries_, key);
        put(entries_, std::uint32_t{9});
        put(entries_, kind_of<Value>());
        put(entries_, std::uint64_t{values.size()});
        for (const Value& value : values) put_value(entries_, value);
    }

    // dims[0] is the contiguous one. `data` is written as it is, right or wrong in size; each
    // tensor's data starts at the next multiple of `alignment`.
    void tensor(std::string_view name, std::uint32_t type, const std::vector<std::int64_t>& dims,
                std::string_view data) {
        put_info(name, type, dims, data_.size());
        data_ += data;
        pad(data_);
    }
    void tensor(std::string_view name, TensorType type, const std::vector<std::int64_t>& dims,
                std::string_view data) {
        tensor(name, static_cast<std::uint32_t>(type), dims, data);
    }

    // A tensor whose `bytes` the caller writes behind bytes() himself, each padded; all or none.
    void declare(std::string_view name, TensorType type, const std::vector<std::int64_t>& dims,
                 std::int64_t bytes) {
        put_info(name, static_cast<std::uint32_t>(type), dims, declared_);
        declared_ += (static_cast<std::size_t>(bytes) + alignment - 1) / alignment * alignment;
    }

    // To be set before the first tensor; write the key general.alignment too.
    std::size_t alignment = 32;

    std::string bytes() const {
        std::string out = "GGUF";
        put(out, version_);
        put(out, tensor_count_);
        put(out, entry_count_);
        out += entries_;
        out += infos_;
        pad(out);
        return out + data_;
    }

private:
    template <class Value>
    static std::uint32_t kind_of() {
        if constexpr (std::is_same_v<Value, std::uint8_t>) return 0;
        if constexpr (std::is_same_v<Value, std::int8_t>) return 1;
        if constexpr (std::is_same_v<Value, std::uint16_t>) return 2;
        if constexpr (std::is_same_v<Value, std::int16_t>) return 3;
        if constexpr (std::is_same_v<Value, std::uint32_t>) return 4;
        if constexpr (std::is_same_v<Value, std::int32_t>) return 5;
        if constexpr (std::is_same_v<Value, float>) return 6;
        if constexpr (std::is_same_v<Value, bool>) return 7;
        if constexpr (std::is_same_v<Value, std::string>) return 8;
        if constexpr (std::is_same_v<Value, std::uint64_t>) return 10;
        if constexpr (std::is_same_v<Value, std::int64_t>) return 11;
        if constexpr (std::is_same_v<Value, double>) return 12;
    }

    template <class Number>
    static void put(std::string& out, Number number) {
        char bytes[sizeof number];
        std::memcpy(bytes, &number, sizeof number);
        out.append(bytes, sizeof number);
    }
    void put_info(std::string_view name, std::uint32_t type, const std::vector<std::int64_t>& dims,
                  std::size_t offset) {
        ++tensor_count_;
        put_text(infos_, name);
        put(infos_, static_cast<std::uint32_t>(dims.size()));
        for (std::int64_t dim : dims) put(infos_, dim);
        put(infos_, type);
        put(infos_, std::uint64_t{offset});
    }
    static void put_text(std::string& out, std::string_view text) {
        put(out, std::uint64_t{text.size()});
        out += text;
    }
    template <class Value>
    static void put_value(std::string& out, const Value& value) {
        if constexpr (std::is_same_v<Value, std::string>) {
            put_text(out, value);
        } else {
            put(out, value);
        }
    }
    void pad(std::string& out) const {
        out.resize((out.size() + alignment - 1) / alignment * alignment);
    }

    std::uint32_t version_;
    std::uint64_t entry_count_ = 0;
    std::uint64_t tensor_count_ = 0;
    std::string entries_;
    std::string infos_;
    std::string data_;
    std::size_t declared_ = 0;
};

// A file with the given bytes that only this process can open, by path(). It lies in memory, since
// some tests write thousands; it is gone when destroyed.
class TempFile {
public:
    explicit TempFile(std::string_view bytes) : file_(::memfd_create("sluice_test", MFD_CLOEXEC)) {
        if (file_ < 0) throw std::runtime_error("cannot make a file in memory");
        path_ = "/proc/self/fd/" + std::to_string(file_);
        write(bytes);
    }
    TempFile(const TempFile&) = delete;
    TempFile& operator=(const TempFile&) = delete;
    ~TempFile() { ::close(file_); }

    // Puts other bytes in place of those there; nobody may have them mapped.
    void write(std::string_view bytes) const {
        bool done = ::ftruncate(file_, 0) == 0;
        for (std::size_t at = 0; done && at < bytes.size();) {
            auto count =
                ::pwrite(file_, bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
            done = count > 0;
            if (done) at += static_cast<std::size_t>(count);
        }
        if (!done) throw std::runtime_error("cannot write " + path_);
    }
    const std::string& path() const { return path_; }

private:
    int file_;
    std::string path_;
};

}  // namespace sluice
