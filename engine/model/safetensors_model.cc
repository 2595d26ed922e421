#include "engine/model/safetensors_model.h"

#include <cmath>
#include <cstring>
#include <deque>
#include <set>
#include <unordered_map>
#include <utility>

#include "engine/model/byte_cursor.h"
#include "engine/model/hf_config.h"
#include "engine/model/json_file.h"
#include "engine/model/quant.h"
#include "engine/model/safetensors.h"
#include "engine/model/tensor_names.h"
#include "engine/text/tokenizer_json.h"
#include "engine/text/vocabulary.h"

namespace sluice {
namespace {

constexpr std::size_t index_bytes_max = 64U << 20;
constexpr std::size_t shards_max = 4096;
constexpr std::string_view block_scale = "_scale_inv";  // behind the weight's name
constexpr const char* blocks_refused =
    "scales blocks, which is not supported; scales of tensors and of rows are";

// A tensor where it lies.
struct Found {
    const SafetensorsFile* file = nullptr;
    const StoredTensor* tensor = nullptr;

    Error fault(const std::string& what) const {
        return Error(Errc::bad_file, file->path() + ": tensor " + in_quotes(tensor->name) +
                                         " at offset " + std::to_string(tensor->begin) + " " +
                                         what);
    }
    std::int64_t count() const {
        std::int64_t all = 1;
        for (std::int64_t dim : tensor->shape) all *= dim;
        return all;
    }
    std::vector<float> floats() const {
        std::vector<float> out(static_cast<std::size_t>(count()));
        dequantise(*tensor->type, file->data_of(*tensor), count(), out.data());
        return out;
    }
};

class SafetensorsModel final : public ModelFile {
public:
    explicit SafetensorsModel(const std::string& folder) : folder_(folder) {}

    Status open() {
        auto config = read_hf_config(folder_);
        if (!config) return config.error();
        config_ = *std::move(config);
        Status done = open_shards();
        if (done) done = take_tensors();
        return done;
    }

    const std::string& path() const override { return folder_; }
    std::span<const Tensor> tensors() const override { return tensors_.all(); }
    const Tensor* tensor(std::string_view name) const override { return tensors_.find(name); }
    std::string own_name(std::string_view name) const override { return hf_tensor_name(name); }
    std::string own_shape(std::span<const std::int64_t> dims) const override {
        return shape_text(std::vector<std::int64_t>(dims.rbegin(), dims.rend()));
    }
    ModelFacts facts() const override { return config_.facts; }
    Result<NetworkDescription> read_network() const override { return config_.network; }
    Result<Vocabulary> read_vocabulary() const override {
        return read_tokenizer_json(folder_, config_.end_tokens);
    }
    void let_go(const Tensor& tensor) const override {
        for (const SafetensorsFile& shard : shards_) {
            const auto all = shard.mapping().bytes();
            if (tensor.data >= all.data() && tensor.data < all.data() + all.size())
                shard.mapping().let_go({tensor.data, static_cast<std::size_t>(tensor.bytes)});
        }
    }

private:
    Status open_shards() {
        const std::string whole = folder_ + "/model.safetensors";
        const std::string index = whole + ".index.json";
        if (file_exists(whole)) return open_shard(whole);
        if (!file_exists(index))
            return Error(Errc::bad_file,
                         folder_ +
                             ": expected a model folder, found neither model.safetensors "
                             "nor model.safetensors.index.json in it");
        auto file = JsonFile::read(index, index_bytes_max);
        if (!file) return file.error();
        auto map = file->fields().object("weight_map");
        if (!map || map->all().size() == 0)
            return Error(Errc::bad_file, index + ": weight_map is missing or empty");
        std::unordered_map<std::string, std::string> home;  // of each tensor
        std::set<std::string> names;
        for (auto [tensor, shard] : map->all()) {
            std::string name(shard.is_string() ? shard.get_string().value_unsafe() : "");
            if (name.empty() || name.find('/') != std::string::npos || name[0] == '.')
                return Error(Errc::bad_file, index + ": weight_map gives " + in_quotes(tensor) +
                                                 " " + in_quotes(name) +
                                                 ", expected the name of a file");
            names.insert(name);
            home.emplace(tensor, folder_ + "/" + name);
        }
        if (names.size() > shards_max)
            return Error(Errc::bad_file, index + ": weight_map names more than " +
                                             std::to_string(shards_max) + " files");
        for (const std::string& name : names) {
            Status opened = open_shard(folder_ + "/" + name);
            if (!opened) return opened;
        }
        for (const auto& [tensor, shard] : home) {
            auto found = stored_.find(tensor);
            if (found == stored_.end() || found->second.file->path() != shard)
                return Error(Errc::bad_file, shard + ": tensor " + in_quotes(tensor) +
                                                 " is missing, which " + index + " places there");
        }
        return Done{};
    }

    Status open_shard(const std::string& path) {
        SafetensorsFile& shard = shards_.emplace_back();
        Status opened = shard.open(path);
        if (!opened) return opened;
        for (const StoredTensor& tensor : shard.tensors()) {
            const Found found{&shard, &tensor};
            if (!stored_.emplace(tensor.name, found).second)
                return found.fault("is in " + stored_[tensor.name].file->path() + " too");
        }
        return Done{};
    }

    Status take_tensors() {
        for (const SafetensorsFile& shard : shards_)
            for (const StoredTensor& tensor : shard.tensors()) {
                Status taken = take({&shard, &tensor});
                if (!taken) return taken;
            }
        return Done{};
    }

    Status take(const Found& from) {
        const std::string& name = from.tensor->name;
        if (name.ends_with(".weight_scale_inv")) return from.fault(blocks_refused);
        if (name.ends_with(".weight_scale")) return check_scaled(from);
        if (is_unread_tensor(name)) return Done{};
        // Files of tied models may hold the embedding a second time.
        if (config_.network.tied_embeddings && name == hf_tensor_name("output.weight"))
            return Done{};
        if (!from.tensor->type)
            return from.fault("is " + from.tensor->dtype +
                              "; supported are BF16, F16, F32 and F8_E4M3");
        Tensor out;
        out.name = names_.emplace_back(gguf_tensor_name(name));
        out.type = *from.tensor->type;
        out.dims.assign(from.tensor->shape.rbegin(), from.tensor->shape.rend());
        out.file_offset = from.tensor->begin;
        out.data = from.file->data_of(*from.tensor);
        out.bytes = static_cast<std::int64_t>(from.tensor->end - from.tensor->begin);
        if (out.type == TensorType::fp8_e4m3) {
            Status scaled = scale_rows(from, out);
            if (!scaled) return scaled;
        } else if (out.dims.size() <= 1) {
            widen(from, out);
        }
        if (!tensors_.add(std::move(out)))
            return from.fault("is called as a GGUF file calls another one of this folder");
        return Done{};
    }

    Status check_scaled(const Found& scale) const {
        const std::string weight =
            scale.tensor->name.substr(0, scale.tensor->name.size() - std::strlen("_scale"));
        auto found = stored_.find(weight);
        if (found != stored_.end() && found->second.tensor->type == TensorType::fp8_e4m3)
            return Done{};
        return scale.fault("scales " + in_quotes(weight) + ", which is no F8_E4M3 tensor");
    }

    Status scale_rows(const Found& weight, Tensor& out) {
        if (out.dims.size() != 2 || out.name == "token_embd.weight")
            return weight.fault("is F8_E4M3, which only matrices of a layer and the output may be");
        auto found = stored_.find(weight.tensor->name + "_scale");
        auto blocks = stored_.find(weight.tensor->name + std::string(block_scale));
        if (found == stored_.end() && blocks != stored_.end())
            return blocks->second.fault(blocks_refused);
        if (found == stored_.end())
            return weight.fault("is F8_E4M3, but its scale " +
                                in_quotes(weight.tensor->name + "_scale") + " is missing");
        const Found& scale = found->second;
        const auto type = scale.tensor->type;
        const std::vector<std::int64_t>& shape = scale.tensor->shape;
        const bool by_row = shape == std::vector<std::int64_t>{out.rows()} ||
                            shape == std::vector<std::int64_t>{out.rows(), 1};
        if (!type || *type == TensorType::fp8_e4m3 || (scale.count() != 1 && !by_row))
            return scale.fault("is " + scale.tensor->dtype + " " + shape_text(shape) +
                               ", expected BF16, F16 or F32 of one number or of " +
                               std::to_string(out.rows()) + ", one a row");
        std::vector<float> values = scale.floats();
        for (float value : values)
            if (!std::isfinite(value)) return scale.fault("holds a scale that is not finite");
        if (values.size() == 1) values.assign(static_cast<std::size_t>(out.rows()), values[0]);
        out.row_scale = numbers_.emplace_back(std::move(values)).data();
        return Done{};
    }

    void widen(const Found& from, Tensor& out) {
        const std::vector<float>& values = numbers_.emplace_back(from.floats());
        if (out.dims.empty()) out.dims = {1};
        out.type = TensorType::f32;
        out.data = reinterpret_cast<const std::uint8_t*>(values.data());
        out.bytes = static_cast<std::int64_t>(values.size() * sizeof(float));
    }

    std::string folder_;
    HfConfig config_;
    std::deque<SafetensorsFile> shards_;
    std::unordered_map<std::string_view, Found> stored_;  // by the name in the file
    std::deque<std::string> names_;                       // GGUF's
    std::deque<std::vector<float>> numbers_;              // what is not read from the mapping
    TensorTable tensors_;
};

}  // namespace

Result<std::shared_ptr<const ModelFile>> open_safetensors_model(const std::string& folder) {
    auto model = std::make_shared<SafetensorsModel>(folder);
    Status opened = model->open();
    if (!opened) return opened.error();
    return std::shared_ptr<const ModelFile>(std::move(model));
}

}  // namespace sluice
