//! Training: fit, callbacks, history, optimisers and schedules.
