//! The statistics: what a column of figures comes to, how far two columns differ, and whether that means something.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::stats_tests::Alternative::TwoSided;
use statrs::stats_tests::mannwhitneyu::{MannWhitneyUMethod, mannwhitneyu};

use crate::measure::Random;

const RESAMPLES: usize = 2000;

/// A ratio that has moved by less does not matter, however sure it is.
const TOLERANCE: f64 = 1.02;

/// The median; `NaN` of nothing.
///
/// ```
/// assert_eq!(saferring_benches::stats::median(&[3.0, 1.0, 2.0]), 2.0);
/// ```
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile(&sorted, 0.5)
}

/// Between the neighbours, as far as the quantile lies between them.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let at = q * last as f64;
    let below = at.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (at - below as f64)
}

/// Figures, one of each round, and what they come to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Column {
    /// Their mean; `NaN` of nothing.
    pub mean: f64,
    /// Half the 95 % interval of the mean, by Student's t; 0 of fewer than two.
    pub margin: f64,
    /// Their standard deviation, of a sample; 0 of fewer than two.
    pub deviation: f64,
    /// Their median.
    pub median: f64,
    /// In the order of the rounds.
    pub rounds: Vec<f64>,
}

impl Column {
    /// Sums figures up.
    ///
    /// ```
    /// let column = saferring_benches::stats::Column::new(vec![1.0, 2.0, 3.0]);
    /// assert_eq!((column.mean, column.deviation, column.median), (2.0, 1.0, 2.0));
    /// ```
    pub fn new(rounds: Vec<f64>) -> Self {
        let n = rounds.len() as f64;
        let mean = rounds.iter().sum::<f64>() / n;
        let squares: f64 = rounds.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = match rounds.len() {
            0 | 1 => 0.0,
            _ => (squares / (n - 1.0)).sqrt(),
        };
        let margin = match StudentsT::new(0.0, 1.0, n - 1.0) {
            Ok(t) if deviation > 0.0 => t.inverse_cdf(0.975) * deviation / n.sqrt(),
            _ => 0.0,
        };
        Column {
            mean,
            margin,
            deviation,
            median: median(&rounds),
            rounds,
        }
    }
}

/// A ratio of the medians of two columns whose rows belong together, ours to theirs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The ratio; `NaN` of nothing.
    pub ratio: f64,
    /// Where its 95 % interval begins.
    pub low: f64,
    /// Where its 95 % interval ends.
    pub high: f64,
    /// How often one of ours is above one of theirs; a tie counts half.
    pub mann_whitney_u: f64,
    /// How likely a difference at least as large is between columns of one distribution, either way.
    pub p: f64,
    /// Whether the test says so at 5 %, and the interval does not hold 1.
    pub significant: bool,
}

/// Compares two columns. The interval is a bootstrap over rows, so that what disturbed both in one round cancels out;
/// the test is Mann-Whitney's by ranks. Rows beyond the shorter column are left out of the ratio.
///
/// ```
/// let ratio = saferring_benches::stats::compare(&[2.0, 4.0, 6.0], &[1.0, 2.0, 3.0]);
/// assert_eq!((ratio.low, ratio.ratio, ratio.high), (2.0, 2.0, 2.0));
/// ```
pub fn compare(ours: &[f64], theirs: &[f64]) -> Ratio {
    let rows = ours.len().min(theirs.len());
    // Always the same draws, so that the same figures give the same interval.
    let mut random = Random::new(1);
    let (mut a, mut b) = (vec![0.0; rows], vec![0.0; rows]);
    let mut ratios = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        for drawn in 0..rows {
            let row = random.below(rows as u64) as usize;
            (a[drawn], b[drawn]) = (ours[row], theirs[row]);
        }
        ratios.push(median(&a) / median(&b));
    }
    ratios.sort_by(f64::total_cmp);
    let (low, high) = (quantile(&ratios, 0.025), quantile(&ratios, 0.975));
    let (mann_whitney_u, p) = mann_whitney(ours, theirs);
    Ratio {
        ratio: median(&ours[..rows]) / median(&theirs[..rows]),
        low,
        high,
        mann_whitney_u,
        p,
        significant: p < 0.05 && (low > 1.0 || high < 1.0),
    }
}

/// U and p, by the normal approximation, corrected for ties and for continuity.
fn mann_whitney(ours: &[f64], theirs: &[f64]) -> (f64, f64) {
    let method = MannWhitneyUMethod::AsymptoticInclContinuityCorrection;
    match mannwhitneyu(ours, theirs, method, TwoSided) {
        Ok((u, p)) if p.is_finite() => (u, p),
        // Nothing to compare, or all values equal.
        Ok((u, _)) => (u, 1.0),
        Err(_) => (0.0, 1.0),
    }
}

/// How a ratio has moved between two measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Lower, beyond doubt.
    Better,
    /// Nothing that is both certain and large enough to matter.
    None,
    /// Higher, beyond doubt.
    Worse,
}

impl Ratio {
    /// Compares it with an earlier one: it has changed if the intervals do not touch and it differs by more than 2 %.
    pub fn change_since(&self, before: &Ratio) -> Change {
        if self.low > before.high && self.ratio > before.ratio * TOLERANCE {
            Change::Worse
        } else if self.high < before.low && self.ratio * TOLERANCE < before.ratio {
            Change::Better
        } else {
            Change::None
        }
    }
}

/// Puts the numbers below `n` in an order that only `seed` decides.
///
/// ```
/// let mut order = saferring_benches::stats::shuffled(5, 7);
/// order.sort();
/// assert_eq!(order, [0, 1, 2, 3, 4]);
/// ```
pub fn shuffled(n: usize, seed: u64) -> Vec<usize> {
    let mut random = Random::new(seed);
    let mut order: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        order.swap(last, random.below(last as u64 + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-4, "{value}, not {expected}");
    }

    #[test]
    fn a_summary_worked_out_by_hand() {
        // Mean 5, squares 9 + 1 + 1 + 1 + 0 + 0 + 4 + 16 = 32, variance 32 / 7; t(7) at 97.5 % is 2.3646.
        let column = Column::new(vec![2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        near(column.mean, 5.0);
        near(column.deviation, 2.1381);
        near(column.margin, 2.3646 * 2.1381 / 8f64.sqrt());
        near(column.median, 4.5);
    }

    #[test]
    fn a_single_figure_and_none_have_no_margin() {
        assert_eq!(Column::new(vec![3.0]).margin, 0.0);
        assert_eq!(Column::new(vec![3.0]).mean, 3.0);
        assert!(Column::new(vec![]).mean.is_nan());
        assert!(median(&[]).is_nan());
        assert_eq!(Column::new(vec![2.0, 2.0]).margin, 0.0);
    }

    #[test]
    fn ranks_apart_and_mixed() {
        // U = 9 of 9, mean 4.5, variance 9 * 7 / 12 = 5.25, z = 4 / 2.2913 = 1.7457.
        let (u, p) = mann_whitney(&[4.0, 5.0, 6.0], &[1.0, 2.0, 3.0]);
        assert_eq!(u, 9.0);
        near(p, 0.0809);
        assert_eq!(mann_whitney(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]).0, 0.0);
        // Ranks 1, 3, 5 of the first: 9 - 6 = 3; z = (1.5 - 0.5) / 2.2913 = 0.4364.
        let (u, p) = mann_whitney(&[1.0, 3.0, 5.0], &[2.0, 4.0, 6.0]);
        assert_eq!(u, 3.0);
        near(p, 0.6625);
    }

    #[test]
    fn ties_share_ranks_and_narrow_the_variance() {
        // Ranks 1.5, 1.5 | 3.5, 3.5 | 5.5, 5.5; first: 1.5 + 1.5 + 3.5 = 6.5, U = 0.5. Variance 0.75 * (7 - 18 / 30) =
        // 4.8; z = (4 - 0.5) / 2.1909 = 1.5975.
        let (u, p) = mann_whitney(&[1.0, 1.0, 2.0], &[2.0, 3.0, 3.0]);
        assert_eq!(u, 0.5);
        near(p, 0.1101);
    }

    #[test]
    fn equal_columns_and_empty_ones_do_not_differ() {
        assert_eq!(mann_whitney(&[1.0; 5], &[1.0; 5]).1, 1.0);
        assert_eq!(mann_whitney(&[], &[1.0]).1, 1.0);
        assert!(!compare(&[1.0; 5], &[1.0; 5]).significant);
    }

    #[test]
    fn a_ratio_pairs_rows_and_ignores_what_disturbs_both() {
        // Every row is 5 % dearer, whatever the round was like.
        let theirs: Vec<f64> = (1..=40).map(f64::from).collect();
        let ours: Vec<f64> = theirs.iter().map(|value| value * 1.05).collect();
        let ratio = compare(&ours, &theirs);
        near(ratio.ratio, 1.05);
        near(ratio.low, 1.05);
        near(ratio.high, 1.05);
        assert!(compare(&[], &[1.0]).ratio.is_nan());
    }

    #[test]
    fn an_interval_shows_when_a_difference_is_noise() {
        let theirs: Vec<f64> = (0..30).map(|i| 100.0 + f64::from(i * 7 % 30)).collect();
        let same: Vec<f64> = (0..30).map(|i| 100.0 + f64::from(i * 11 % 30)).collect();
        let dearer: Vec<f64> = same.iter().map(|value| value * 1.5).collect();
        assert!(!compare(&same, &theirs).significant);
        let ratio = compare(&dearer, &theirs);
        assert!(ratio.significant && ratio.low > 1.3);
    }

    #[test]
    fn an_interval_holds_its_median_and_narrows_with_more_values() {
        let values = |n: u32| -> Vec<f64> { (0..n).map(|i| f64::from(i * 37 % 101 + 9)).collect() };
        let ratio = |n: u32| compare(&values(n), &vec![1.0; n as usize]);
        let (few, many) = (ratio(10), ratio(1000));
        assert!(few.low <= few.ratio && few.ratio <= few.high);
        assert!(many.high - many.low < few.high - few.low);
    }

    #[test]
    fn a_change_is_certain_and_large() {
        let ratio = |ratio: f64, margin: f64| Ratio {
            low: ratio - margin,
            ratio,
            high: ratio + margin,
            ..compare(&[1.0], &[1.0])
        };
        let since = |ours: f64, margin| ratio(ours, margin).change_since(&ratio(1.0, 0.005));
        assert_eq!(since(1.03, 0.005), Change::Worse);
        assert_eq!(since(0.97, 0.005), Change::Better);
        // Certain but small, and large but uncertain.
        assert_eq!(since(1.015, 0.005), Change::None);
        assert_eq!(since(1.10, 0.10), Change::None);
        // Nothing was measured.
        assert_eq!(since(f64::NAN, 0.0), Change::None);
    }

    #[test]
    fn orders_differ_between_seeds() {
        let orders: std::collections::HashSet<_> = (0..50).map(|seed| shuffled(4, seed)).collect();
        assert!(orders.len() > 10, "{orders:?}");
    }
}
