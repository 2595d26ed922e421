#include "engine/model/model_file.h"

#include "engine/model/gguf.h"

namespace sluice {

Result<std::shared_ptr<const ModelFile>> ModelFile::open(const std::string& path) {
    auto file = GgufFile::open(path);
    if (!file) return file.error();
    return std::shared_ptr<const ModelFile>(*std::move(file));
}

std::string tensor_text(const ModelFile& file, const Tensor& tensor) {
    return "tensor '" + file.own_name(tensor.name) + "' at offset " +
           std::to_string(tensor.file_offset);
}

}  // namespace sluice
