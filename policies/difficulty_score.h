// From the heads' predictions to the one difficulty that policies' bands read. Pure.
#pragma once

namespace sluice {

// The expected share of reference models that fail, its log-odds moved by one unit at most, up
// where the prompt wants reasoning, down where it does not. Why: fine difficulty is learnt from
// exams and carries over badly to other text, whether something needs working out carries over
// well, and small local models lose more there than the reference models do on average. So the
// score ranks and is spread over [0, 1]; a probability in the strict sense is failing_share.
double difficulty_score(double failing_share, double reasoning);

}  // namespace sluice
