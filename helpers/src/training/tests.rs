//! Moving average, loss of mixed classes and schedules against PyTorch; `tests/reference/training.py` writes the cases.

use serde::Deserialize;
use tch::Tensor;

use super::average::MovingAverage;
use super::mixing::Mixed;
use super::objective::Objective;
use super::optimizer::AdamW;
use super::schedule::{LearningRate, Schedule};
use crate::layers::Weight;
use crate::models::Device;

#[derive(Deserialize)]
struct Cases {
    moving_average: Vec<Averaged>,
    mixed_loss: Vec<MixedLoss>,
    plateau: Vec<Plateau>,
    cosine: Vec<Cosine>,
}

#[derive(Deserialize)]
struct Averaged {
    momentum: f64,
    /// At the start and after each step: a weight and a running statistic.
    weights: Vec<[Vec<f32>; 2]>,
    averages: Vec<[Vec<f32>; 2]>,
}

#[derive(Deserialize)]
struct MixedLoss {
    share: f64,
    label_smoothing: f64,
    outputs: Vec<f32>,
    targets: Vec<i64>,
    partners: Vec<i64>,
    loss: f64,
    slopes: Vec<f32>,
}

#[derive(Deserialize)]
struct Plateau {
    factor: f64,
    patience: usize,
    losses: Vec<f64>,
    factors: Vec<f64>,
}

#[derive(Deserialize)]
struct Cosine {
    epochs: usize,
    alpha: f64,
    factors: Vec<f64>,
}

fn cases() -> Cases {
    serde_json::from_str(include_str!("../../tests/reference/training.json")).unwrap()
}

fn assert_close(ours: &Tensor, theirs: &[f32]) {
    let apart = (ours.flatten(0, -1) - Tensor::from_slice(theirs)).abs().max().double_value(&[]);
    assert!(apart < 1e-6, "{apart:e}");
}

#[test]
fn the_moving_average_is_pytorch_s() {
    for Averaged { momentum, weights, averages } in cases().moving_average {
        let mut now = ["bn.gamma", "bn.moving_mean"]
            .map(|name| Weight::new(name, Tensor::new(), name == "bn.gamma", false));
        let first = weights[0].iter().map(|values| Tensor::from_slice(values)).collect();
        let mut average = MovingAverage::new(momentum, first);
        for (step, (weights, averages)) in weights.iter().zip(&averages).enumerate().skip(1) {
            for (weight, values) in now.iter_mut().zip(weights) {
                weight.tensor = Tensor::from_slice(values);
            }
            let gradients = [Tensor::new(), Tensor::new()];
            let followers = Some(average.followers(step as u64));
            let mut adam = AdamW::new(&mut now, 0.0, Device::Cpu).unwrap();
            adam.step(&mut now, &gradients, 0.0, followers).unwrap();
            average.update_statistics(&now, step as u64).unwrap();
            for (ours, theirs) in average.values.iter().zip(averages) {
                assert_close(ours, theirs);
            }
        }
    }
}

#[test]
fn the_loss_of_mixed_classes_is_pytorch_s_with_soft_targets() {
    for case in cases().mixed_loss {
        let outputs = Tensor::from_slice(&case.outputs).view([5, 4]).set_requires_grad(true);
        let objective = Objective::CrossEntropy { label_smoothing: case.label_smoothing };
        let (targets, partners) =
            (Tensor::from_slice(&case.targets), Tensor::from_slice(&case.partners));
        let mixed = Mixed { partners, share: case.share };
        let loss = objective.loss(&outputs, &targets, Some(&mixed)).unwrap();
        loss.backward();
        assert!((loss.double_value(&[]) - case.loss).abs() < 1e-6);
        assert_close(&outputs.grad(), &case.slopes);
    }
}

/// The first epoch is a rise here, and the plateau rule takes an epoch's loss before the next one's rate.
#[test]
fn schedules_are_pytorch_s() {
    for Plateau { factor, patience, losses, factors } in cases().plateau {
        let schedule = Schedule::ReduceOnPlateau { factor, patience };
        let mut learning_rate = LearningRate::new(schedule, 50);
        for (loss, theirs) in losses.into_iter().zip(factors) {
            learning_rate.update(loss);
            assert!((learning_rate.factor(9.0) - theirs).abs() < 1e-12);
        }
    }
    for Cosine { epochs, alpha, factors } in cases().cosine {
        let schedule = Schedule::Cosine { warmup_epochs: 0.0, alpha, decay_epochs: 0 };
        let learning_rate = LearningRate::new(schedule, epochs);
        for (index, theirs) in factors.into_iter().enumerate() {
            assert!((learning_rate.factor((index + 1) as f64) - theirs).abs() < 1e-9);
        }
    }
}
