//! What watches a training run.

/// Stops training when the validation loss no longer falls, as Keras's `EarlyStopping(min_delta=0)`.
#[derive(Debug, Clone, PartialEq)]
pub struct EarlyStopping {
    patience: usize,
    best_loss: f64,
    best_epoch: usize,
    epochs: usize,
}

impl EarlyStopping {
    /// Waits for `patience` epochs without a better loss.
    pub fn new(patience: usize) -> EarlyStopping {
        EarlyStopping { patience, best_loss: f64::INFINITY, best_epoch: 0, epochs: 0 }
    }

    /// Takes the next epoch's loss; true when training should stop. An equal loss is no better one.
    pub fn update(&mut self, loss: f64) -> bool {
        self.epochs += 1;
        if loss < self.best_loss {
            self.best_loss = loss;
            self.best_epoch = self.epochs;
        }
        self.epochs - self.best_epoch >= self.patience
    }

    /// The epoch (counted from 1) with the lowest loss so far; 0 before the first.
    pub fn best_epoch(&self) -> usize {
        self.best_epoch
    }

    /// Whether the last epoch taken is the best so far.
    pub fn is_best(&self) -> bool {
        self.epochs > 0 && self.best_epoch == self.epochs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_after_patience_epochs_without_improvement() {
        let mut stopping = EarlyStopping::new(2);
        let stops: Vec<bool> =
            [0.9, 0.7, 0.8, 0.7].iter().map(|&loss| stopping.update(loss)).collect();
        assert_eq!(stops, [false, false, false, true]);
        assert_eq!(stopping.best_epoch(), 2);
    }

    #[test]
    fn a_better_loss_starts_the_count_again() {
        let mut stopping = EarlyStopping::new(2);
        let stops: Vec<bool> =
            [0.9, 1.0, 0.8, 0.9, 0.9].iter().map(|&loss| stopping.update(loss)).collect();
        assert_eq!(stops, [false, false, false, false, true]);
        assert_eq!(stopping.best_epoch(), 3);
    }
}
