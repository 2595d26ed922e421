// The model file that an engine's options name, or the shape without weights. Errors: bad_file,
// bad_config.
#pragma once

#include <memory>

#include "engine/engine.h"
#include "engine/model/model_file.h"

namespace sluice {

Result<std::shared_ptr<const ModelFile>> open_model(const EngineOptions& options);

// For a device that this program has no code for.
Error no_such_device(const EngineOptions& options);

}  // namespace sluice
