#include "engine/model/model_file.h"

#include <filesystem>

#include "engine/model/gguf.h"
#include "engine/model/safetensors_model.h"

namespace sluice {

Result<std::shared_ptr<const ModelFile>> ModelFile::open(const std::string& path) {
    std::error_code unreadable;  // then opening it says why
    if (std::filesystem::is_directory(path, unreadable)) return open_safetensors_model(path);
    if (path.ends_with(".safetensors") || path.ends_with(".safetensors.index.json"))
        return Error(Errc::bad_file, path +
                                         ": give the folder that holds it, with its config.json "
                                         "and its tokenizer.json");
    auto file = GgufFile::open(path);
    if (!file) return file.error();
    return std::shared_ptr<const ModelFile>(*std::move(file));
}

std::string tensor_text(const ModelFile& file, const Tensor& tensor) {
    return "tensor '" + file.own_name(tensor.name) + "' at offset " +
           std::to_string(tensor.file_offset);
}

}  // namespace sluice
