//! Curves over noise levels, training images and code sizes, as figures and as sentences.

use crate::error::Result;
use crate::evaluation::{LabelIssue, NoiseLevels};
use crate::plot::{Figure, LineChart};
use crate::text::{clean_text, decimals, thousands};
use crate::tuning::{LearningCurve, RateSweep};

use super::gain_text;

impl NoiseLevels {
    /// PSNR against the variance of the noise.
    ///
    /// # Errors
    /// If no value is a finite number.
    pub fn plot(&self) -> Result<Figure> {
        let (across, upwards) = ("Variance of the noise (pixels in 0 to 1)", "PSNR (dB)");
        LineChart::new("Quality against noise", across, upwards)
            .line("autoencoder", &self.variances, &self.network)
            .line("linear, same code", &self.variances, &self.linear)
            .line("noisy input", &self.variances, &self.noisy)
            .plot()
    }

    /// The level with the largest gain over the input, and whether the network beats the linear denoiser everywhere; as
    /// a sentence.
    pub fn sentence(&self) -> String {
        let gain = |level: &usize| self.network[*level] - self.noisy[*level];
        let levels = || 0..self.variances.len();
        // Without noise the input's PSNR is infinite, so that no gain can be computed.
        let noisy = levels().filter(|level| gain(level).is_finite());
        let most = noisy.max_by(|a, b| gain(a).total_cmp(&gain(b)));
        let Some(most) = most else { return String::new() };
        let behind: Vec<String> = levels()
            .filter(|&level| self.network[level] <= self.linear[level])
            .map(|level| format!("{}", self.variances[level]))
            .collect();
        let ahead = match behind.len() {
            0 => "ahead of the linear denoiser at every level".to_owned(),
            all if all == self.variances.len() => {
                "ahead of the linear denoiser at none of the levels".to_owned()
            }
            _ => format!("not ahead of the linear denoiser at {}", behind.join(", ")),
        };
        format!(
            "Trained at a variance of {}, the autoencoder gains most over its input at {}: {} dB. It is {ahead}.",
            self.trained,
            self.variances[most],
            decimals(gain(&most), 2)
        )
    }
}

impl LearningCurve {
    /// Validation accuracy with its 95% interval against the number of training images.
    ///
    /// # Errors
    /// If no value is a finite number.
    pub fn plot(&self) -> Result<Figure> {
        let sizes: Vec<f64> = self.train_sizes.iter().map(|&size| size as f64).collect();
        let percent = |value: fn(&crate::evaluation::Evaluation) -> f64| -> Vec<f64> {
            self.validation.iter().map(|scored| 100.0 * value(scored)).collect()
        };
        LineChart::new("What more images are worth", "Training images", "Validation accuracy (%)")
            .log_x()
            .line("accuracy", &sizes, &percent(|scored| scored.accuracy))
            .intervals(
                &sizes,
                &percent(|scored| scored.accuracy_ci95[0]),
                &percent(|scored| scored.accuracy_ci95[1]),
            )
            .plot()
    }

    /// The gain of the last step to more images, and whether the curve still rises there; as a sentence.
    pub fn sentence(&self) -> String {
        let [.., before, last] = &self.validation[..] else { return String::new() };
        let [.., fewer, more] = self.train_sizes[..] else { return String::new() };
        if fewer == more {
            return format!("With {} training images the curve has no last step.", thousands(more));
        }
        let verdict = match last.accuracy_ci95[0] > before.accuracy_ci95[1] {
            true => format!(
                "The curve still rises at its end: {} images are not enough",
                thousands(more)
            ),
            false => {
                "The two intervals overlap, so the curve does not say whether more images would help"
                    .to_owned()
            }
        };
        format!(
            "From {} to {} training images the validation accuracy goes from {:.2} to {:.2}%: {} points for {:.1} times \
             as many. {verdict}.",
            thousands(fewer),
            thousands(more),
            100.0 * before.accuracy,
            100.0 * last.accuracy,
            signed(100.0 * (last.accuracy - before.accuracy)),
            more as f64 / fewer as f64
        )
    }
}

/// A difference with its sign and two digits; `0.00` has none.
fn signed(difference: f64) -> String {
    let text = decimals(difference, 2);
    if text.starts_with('-') || text == "0.00" { text } else { format!("+{text}") }
}

impl RateSweep {
    /// PSNR of the validation part against the rate, on a logarithmic axis.
    ///
    /// # Errors
    /// If no value is a finite number.
    pub fn plot(&self) -> Result<Figure> {
        let across = "Rate (values of the code / values of the image)";
        LineChart::new("Quality against rate", across, "Validation PSNR (dB)")
            .log_x()
            .line("autoencoder, trained briefly", &self.rates, &self.network)
            .line("best linear denoiser", &self.rates, &self.linear)
            .plot()
    }

    /// The gain from the smallest code to the largest, the smallest one with which the network is as good as the linear
    /// denoiser with the largest, and whether each larger code adds less; as sentences.
    pub fn sentence(&self) -> String {
        let gain = |values: &[f64], from: usize, to: usize| gain_text(values[from], values[to]);
        let last = self.rates.len().saturating_sub(1);
        if last == 0 {
            return String::new();
        }
        let mut text = format!(
            "From a rate of {:.4} to {:.4} the autoencoder gains {} and the linear denoiser {}.",
            self.rates[0],
            self.rates[last],
            gain(&self.network, 0, last),
            gain(&self.linear, 0, last)
        );
        let ahead = (0..last).find(|&size| self.network[size] >= self.linear[last]);
        if let Some(size) = ahead {
            text += &format!(
                " At a rate of {:.4} it is already as good as the linear denoiser at {:.4}.",
                self.rates[size], self.rates[last]
            );
        }
        let steps: Vec<f64> = self.network.windows(2).map(|pair| pair[1] - pair[0]).collect();
        if steps.len() > 1 && steps.iter().all(|step| step.is_finite()) {
            let listed: Vec<String> = steps.iter().map(|&step| decimals(step, 2)).collect();
            let word = match steps.is_sorted_by(|before, next| before > next) {
                true => "each larger code adds less",
                false => "the steps do not shrink throughout",
            };
            text += &format!(" The steps to larger codes bring {} dB: {word}.", listed.join(", "));
        }
        text
    }
}

/// How many labels are doubtful, and between which classes most of them are; in words.
pub fn label_issues_sentence(
    issues: &[LabelIssue],
    images: usize,
    class_names: &[String],
) -> String {
    let mut pairs = std::collections::BTreeMap::new();
    for issue in issues {
        let pair = (issue.label.min(issue.suggested), issue.label.max(issue.suggested));
        *pairs.entry(pair).or_insert(0usize) += 1;
    }
    let share = 100.0 * issues.len() as f64 / images.max(1) as f64;
    let mut text = format!(
        "{} of {} labels are doubtful, {share:.1}%",
        thousands(issues.len()),
        thousands(images)
    );
    // Of equal counts the first pair.
    if let Some(((a, b), count)) = pairs.into_iter().rev().max_by_key(|(_, count)| *count) {
        let [a, b] = [a, b].map(|class| clean_text(&class_names[class]));
        text += &format!("; {} of them lie between {a} and {b}", thousands(count));
    }
    text + "."
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::Evaluation;

    #[test]
    fn noise_levels_are_told_by_their_gain() {
        let levels = NoiseLevels {
            variances: vec![0.1, 0.3],
            noisy: vec![10.0, 5.0],
            linear: vec![16.0, 17.0],
            network: vec![15.0, 19.0],
            trained: 0.3,
        };
        assert_eq!(
            levels.sentence(),
            "Trained at a variance of 0.3, the autoencoder gains most over its input at 0.3: 14.00 dB. It is not ahead of \
             the linear denoiser at 0.1."
        );
        assert!(levels.plot().unwrap().alt_text().contains("autoencoder from 15 to 19"));
        let weak = NoiseLevels { network: vec![15.0, 16.0], ..levels.clone() };
        let end = "It is ahead of the linear denoiser at none of the levels.";
        assert!(weak.sentence().ends_with(end), "{}", weak.sentence());
        // No noise at all: the input is the image itself.
        let with = |variance: f64, noisy: f64| NoiseLevels {
            variances: [vec![variance], levels.variances.clone()].concat(),
            noisy: [vec![noisy], levels.noisy.clone()].concat(),
            linear: [vec![16.0], levels.linear.clone()].concat(),
            network: [vec![15.0], levels.network.clone()].concat(),
            trained: 0.3,
        };
        let noiseless = with(0.0, f64::INFINITY);
        let alt_text = noiseless.plot().unwrap().alt_text().to_owned();
        assert!(alt_text.contains("noisy input from ∞ to 5"), "{alt_text}");
        let text = noiseless.sentence();
        assert!(text.contains("most over its input at 0.3: 14.00 dB"), "{text}");
        assert!(text.ends_with("not ahead of the linear denoiser at 0, 0.1."), "{text}");
    }

    #[test]
    fn a_learning_curve_is_told_by_its_last_step() {
        let scored = |accuracy| Evaluation {
            images: 100,
            loss: 0.5,
            accuracy,
            accuracy_ci95: [accuracy - 0.1, accuracy + 0.1],
        };
        let curve = LearningCurve {
            train_sizes: vec![500, 1000, 4000],
            validation: vec![scored(0.1), scored(0.5), scored(0.85)],
            fit_seconds: vec![1.0, 2.0, 3.0],
        };
        assert_eq!(
            curve.sentence(),
            "From 1,000 to 4,000 training images the validation accuracy goes from 50.00 to 85.00%: +35.00 points for 4.0 \
             times as many. The curve still rises at its end: 4,000 images are not enough."
        );
        assert!(curve.plot().unwrap().alt_text().contains("accuracy from 10 to 85"));
        let short = LearningCurve { train_sizes: vec![500, 1548, 1548], ..curve.clone() };
        assert_eq!(short.sentence(), "With 1,548 training images the curve has no last step.");
        let flat =
            LearningCurve { validation: vec![scored(0.1), scored(0.8), scored(0.85)], ..curve };
        let end =
            "The two intervals overlap, so the curve does not say whether more images would help.";
        assert!(flat.sentence().ends_with(end), "{}", flat.sentence());
    }

    #[test]
    fn a_sweep_is_told_by_its_gains() {
        let sweep = RateSweep {
            rates: vec![0.01, 0.05, 0.1],
            network: vec![15.0, 18.0, 19.0],
            linear: vec![14.0, 16.0, 17.0],
        };
        assert_eq!(
            sweep.sentence(),
            "From a rate of 0.0100 to 0.1000 the autoencoder gains 4.00 dB and the linear denoiser 3.00 dB. At a rate of \
             0.0500 it is already as good as the linear denoiser at 0.1000. The steps to larger codes bring 3.00, 1.00 dB: \
             each larger code adds less."
        );
        // The last step is smaller than the one before it, and that one is not.
        let uneven = RateSweep {
            rates: vec![0.01, 0.02, 0.05, 0.1],
            network: vec![13.0, 14.0, 16.0, 16.5],
            linear: vec![14.0, 15.0, 16.0, 17.0],
        };
        let end = "denoiser 3.00 dB. The steps to larger codes bring 1.00, 2.00, 0.50 dB: the steps do not shrink throughout.";
        assert!(uneven.sentence().ends_with(end), "{}", uneven.sentence());
        assert!(sweep.plot().unwrap().alt_text().contains("trained briefly from 15 to 19"));
        let one = RateSweep { rates: vec![0.1], network: vec![19.0], linear: vec![17.0] };
        assert_eq!(one.sentence(), "");
    }

    #[test]
    fn doubtful_labels_are_counted_by_pair() {
        let issue = |label, suggested| LabelIssue {
            image: 0,
            label,
            suggested,
            self_confidence: 0.1,
            confidence: 0.9,
        };
        let names = ["cat", "dog", "lynx"].map(str::to_owned);
        let text = label_issues_sentence(&[issue(0, 2), issue(2, 0), issue(1, 0)], 60, &names);
        assert_eq!(text, "3 of 60 labels are doubtful, 5.0%; 2 of them lie between cat and lynx.");
        assert_eq!(label_issues_sentence(&[], 60, &names), "0 of 60 labels are doubtful, 0.0%.");
    }
}
