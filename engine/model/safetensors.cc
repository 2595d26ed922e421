#include "engine/model/safetensors.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/model/byte_cursor.h"
#include "engine/model/json_file.h"

namespace sluice {
namespace {

constexpr std::uint64_t header_bytes_max = 100'000'000;  // the format's own limit
constexpr std::size_t dims_max = 8;

struct Dtype {
    std::string_view name;
    int bytes;
    std::optional<TensorType> type;
};
constexpr Dtype dtypes[] = {
    {"BF16", 2, TensorType::bf16}, {"F16", 2, TensorType::f16},
    {"F32", 4, TensorType::f32},   {"F8_E4M3", 1, TensorType::fp8_e4m3},
    {"F8_E5M2", 1, std::nullopt},  {"F64", 8, std::nullopt},
    {"I64", 8, std::nullopt},      {"U64", 8, std::nullopt},
    {"I32", 4, std::nullopt},      {"U32", 4, std::nullopt},
    {"I16", 2, std::nullopt},      {"U16", 2, std::nullopt},
    {"I8", 1, std::nullopt},       {"U8", 1, std::nullopt},
    {"BOOL", 1, std::nullopt},
};

// Reads one tensor's entry of the header. `fault` says what is wrong with it, or is empty.
class EntryReader {
public:
    EntryReader(JsonFields fields, std::uint64_t data_begin, std::uint64_t file_bytes)
        : fields_(std::move(fields)), data_begin_(data_begin), file_bytes_(file_bytes) {}

    std::string read(StoredTensor& out) {
        std::string fault = read_dtype(out);
        if (fault.empty()) fault = read_shape(out);
        if (fault.empty()) fault = read_place(out);
        return fault;
    }

private:
    std::string read_dtype(StoredTensor& out) {
        out.dtype = fields_.text("dtype").value_or("");
        for (const Dtype& known : dtypes) {
            if (known.name != out.dtype) continue;
            out.type = known.type;
            bytes_ = known.bytes;
            return "";
        }
        std::string known;
        for (const Dtype& one : dtypes)
            known += (known.empty() ? "" : ", ") + std::string(one.name);
        return "has dtype " + in_quotes(out.dtype) + ", known are " + known;
    }

    std::string read_shape(StoredTensor& out) {
        auto shape = fields_.integers("shape");
        if (!shape || shape->size() > dims_max)
            return "has no shape of up to " + std::to_string(dims_max) + " integers";
        for (std::int64_t dim : *shape)
            if (dim <= 0 || __builtin_mul_overflow(bytes_, dim, &bytes_))
                return "has " + std::to_string(dim) +
                       " in its shape, expected at least 1 and fewer than 2^63 bytes in all";
        out.shape = std::move(*shape);
        return "";
    }

    std::string read_place(StoredTensor& out) {
        auto place = fields_.integers("data_offsets");
        if (!place || place->size() != 2 || (*place)[0] < 0 || (*place)[1] < (*place)[0])
            return "has no data_offsets of a begin and an end";
        const auto begin = static_cast<std::uint64_t>((*place)[0]);
        const auto end = static_cast<std::uint64_t>((*place)[1]);
        const std::uint64_t room = file_bytes_ - data_begin_;
        if (end > room)
            return "ends at data offset " + std::to_string(end) + ", but the file has " +
                   std::to_string(room) + " bytes of data; it is truncated";
        if (end - begin != static_cast<std::uint64_t>(bytes_))
            return "takes " + std::to_string(end - begin) + " bytes, but its shape and dtype ask " +
                   "for " + std::to_string(bytes_);
        out.begin = data_begin_ + begin;
        out.end = data_begin_ + end;
        return "";
    }

    JsonFields fields_;
    std::uint64_t data_begin_;
    std::uint64_t file_bytes_;
    std::int64_t bytes_ = 0;
};

// Where the header speaks of the tensor, for messages; nowhere where its name is written otherwise.
std::string place_of(std::string_view name, std::span<const std::uint8_t> header) {
    const std::string_view text(reinterpret_cast<const char*>(header.data()), header.size());
    const std::size_t at = text.find('"' + std::string(name) + "\":");
    return at == std::string_view::npos ? "" : "at byte " + std::to_string(8 + at) + ": ";
}

std::string who(const StoredTensor& tensor) {
    return "tensor " + in_quotes(tensor.name) + " at offset " + std::to_string(tensor.begin);
}

}  // namespace

Status SafetensorsFile::open(const std::string& path) {
    path_ = path;
    Status mapped = mapping_.open(path);
    if (!mapped) return mapped;
    const std::uint64_t size = mapping_.bytes().size();
    std::uint64_t header = 0;
    if (size < sizeof header)
        return Error(Errc::bad_file, path + ": has " + std::to_string(size) +
                                         " bytes, expected a safetensors file");
    std::memcpy(&header, mapping_.bytes().data(), sizeof header);
    if (header > header_bytes_max || header > size - sizeof header)
        return Error(Errc::bad_file,
                     path + ": at byte 0: the header's length is " + std::to_string(header) +
                         ", expected at most " +
                         std::to_string(std::min(header_bytes_max, size - sizeof header)) +
                         ": not a safetensors file, or truncated");
    return read_header(header);
}

Status SafetensorsFile::read_header(std::uint64_t header_bytes) {
    const std::uint64_t data_begin = sizeof header_bytes + header_bytes;
    auto json = JsonFile::parse(mapping_.bytes().subspan(sizeof header_bytes, header_bytes), path_,
                                "at byte 8: the header is ");
    if (!json) return json.error();
    std::vector<std::string_view> names;
    for (auto [name, entry] : json->fields().all()) {
        if (name == "__metadata__") continue;
        StoredTensor tensor;
        tensor.name = name;
        std::string fault = "is no object";
        if (entry.is_object()) {
            EntryReader reader(json->fields().within(name, entry), data_begin,
                               mapping_.bytes().size());
            fault = reader.read(tensor);
        }
        if (!fault.empty())
            return Error(Errc::bad_file,
                         path_ + ": " + place_of(name, mapping_.bytes().subspan(8, header_bytes)) +
                             "tensor " + in_quotes(name) + " " + fault);
        names.push_back(name);
        tensors_.push_back(std::move(tensor));
    }
    std::ranges::sort(names);
    if (auto twice = std::ranges::adjacent_find(names); twice != names.end())
        return Error(Errc::bad_file, path_ + ": tensor " + in_quotes(*twice) + " appears twice");
    std::ranges::sort(tensors_, {}, &StoredTensor::begin);
    return check_places(data_begin);
}

Status SafetensorsFile::check_places(std::uint64_t data_begin) const {
    std::uint64_t at = data_begin;
    for (const StoredTensor& tensor : tensors_) {
        if (tensor.begin != at)
            return Error(Errc::bad_file, path_ + ": " + who(tensor) +
                                             (tensor.begin < at ? " overlaps the one before it"
                                                                : " comes after a gap") +
                                             ", expected it at " + std::to_string(at));
        at = tensor.end;
    }
    if (at != mapping_.bytes().size())
        return Error(Errc::bad_file, path_ + ": the tensors end at byte " + std::to_string(at) +
                                         ", but the file has " +
                                         std::to_string(mapping_.bytes().size()) + " bytes");
    return Done{};
}

}  // namespace sluice
