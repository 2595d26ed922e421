// A case's `score`: one key that names the scorer, with its options. Part of golden_yaml.cc.
#pragma once

#include "policies/golden/golden_set.h"

namespace sluice {

void read_scorer(Cursor& at, Scorer& out);

}  // namespace sluice
