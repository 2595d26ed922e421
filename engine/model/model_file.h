// A model as it lies on disk, whichever format it is kept in: its tensors, the network they make,
// its vocabulary, and what it says of itself. What computes reads this and knows no format.
// Immutable: any thread. Tensor data lives as long as the ModelFile.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/model/tensor.h"
#include "engine/result.h"

namespace sluice {

struct NetworkDescription;  // engine/model/network.h
struct Vocabulary;          // engine/text/vocabulary.h

// What a model says of itself.
struct ModelFacts {
    std::string name;
    std::string architecture;   // "llama", "qwen2"
    std::string chat_template;  // Jinja; may be empty
    // How its makers would have it sampled, where they say.
    std::optional<float> temperature;
    std::optional<float> top_p;
    std::optional<int> top_k;
    std::optional<float> min_p;
    std::optional<float> repetition_penalty;
    std::string ignored;  // names of what they say beside it that the engine has nothing for
};

class ModelFile {
public:
    // A GGUF file (gguf.h), or a folder with config.json and safetensors (safetensors_model.h).
    // Errors: bad_file, naming the place in the file, what was found and
    // expected.
    static Result<std::shared_ptr<const ModelFile>> open(const std::string& path);
    virtual ~ModelFile() = default;

    virtual const std::string& path() const = 0;
    virtual std::span<const Tensor> tensors() const = 0;
    virtual const Tensor* tensor(std::string_view name) const = 0;  // nullptr when absent
    // What the file itself calls the tensor of this name, for messages.
    virtual std::string own_name(std::string_view name) const { return std::string(name); }
    // Likewise a shape, which some formats give the other way round.
    virtual std::string own_shape(std::span<const std::int64_t> dims) const {
        return shape_text(dims);
    }

    virtual ModelFacts facts() const = 0;
    // As the file's metadata has it; describe_network() holds it against the tensors.
    virtual Result<NetworkDescription> read_network() const = 0;
    virtual Result<Vocabulary> read_vocabulary() const = 0;
    // The tensor's bytes have been read for good: its pages may leave memory. They come back from
    // the file when they are read again.
    virtual void let_go(const Tensor&) const {}
};

// "tensor 'model.norm.weight' at offset 1024", as the file calls it.
std::string tensor_text(const ModelFile& file, const Tensor& tensor);

}  // namespace sluice
