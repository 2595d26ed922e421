// The bounds of the histograms of metrics.cc, in seconds or tokens.
#pragma once

#include <prometheus/histogram.h>

namespace sluice {

using Buckets = prometheus::Histogram::BucketBoundaries;

// OpenTelemetry's advice for gen_ai.*; reasoners need more than its 10 s to the first token.
inline const Buckets duration_s{.01,  .02,   .04,   .08,   .16,   .32,    .64,    1.28,  2.56,
                                5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68, 655.36};
inline const Buckets first_token_s{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5,
                                   .75,  1,    2.5, 5,   7.5, 10,  20,  30, 60,  120};
inline const Buckets per_token_s{.001, .0025, .005, .01, .025, .05, .075, .1,
                                 .15,  .2,    .3,   .4,  .5,   .75, 1,    2.5};
inline const Buckets tokens{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576};
inline const Buckets routing_s{1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 1e-2};

}  // namespace sluice
