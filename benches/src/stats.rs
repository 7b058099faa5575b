//! The statistics: medians, how far two columns of figures differ, and whether that means something.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use crate::measure::Random;

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
pub(crate) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let at = q * last as f64;
    let below = at.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (at - below as f64)
}

/// A median with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The median.
    pub median: f64,
    /// 2.5 % of the resamples have a smaller median.
    pub low: f64,
    /// 2.5 % of the resamples have a larger median.
    pub high: f64,
}

const RESAMPLES: usize = 2000;

/// What a column of figures comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// How many there are.
    pub count: usize,
    /// Their mean; `NaN` of nothing.
    pub mean: f64,
    /// Half the 95 % interval of the mean, by Student's t; 0 of fewer than two.
    pub margin: f64,
    /// Their standard deviation, of a sample; 0 of fewer than two.
    pub deviation: f64,
    /// Their median.
    pub median: f64,
}

/// Sums a column up.
///
/// ```
/// let summary = saferring_benches::stats::summary(&[1.0, 2.0, 3.0]);
/// assert_eq!((summary.mean, summary.deviation, summary.median), (2.0, 1.0, 2.0));
/// ```
pub fn summary(values: &[f64]) -> Summary {
    let count = values.len();
    let n = count as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let deviation = match count {
        0 | 1 => 0.0,
        _ => (squares / (n - 1.0)).sqrt(),
    };
    let margin = match StudentsT::new(0.0, 1.0, n - 1.0) {
        Ok(t) if deviation > 0.0 => t.inverse_cdf(0.975) * deviation / n.sqrt(),
        _ => 0.0,
    };
    Summary {
        count,
        mean,
        margin,
        deviation,
        median: median(values),
    }
}

/// The ratio of the medians of two columns whose rows belong together, with its 95 % interval: a bootstrap over rows, so
/// that what disturbed both in one round cancels out.
///
/// Rows beyond the shorter column are left out.
///
/// ```
/// let ratio = saferring_benches::stats::paired_ratio(&[2.0, 4.0, 6.0], &[1.0, 2.0, 3.0]);
/// assert_eq!((ratio.low, ratio.median, ratio.high), (2.0, 2.0, 2.0));
/// ```
pub fn paired_ratio(ours: &[f64], theirs: &[f64]) -> Estimate {
    let rows = ours.len().min(theirs.len());
    if rows == 0 {
        return Estimate {
            median: f64::NAN,
            low: f64::NAN,
            high: f64::NAN,
        };
    }
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
    Estimate {
        median: median(&ours[..rows]) / median(&theirs[..rows]),
        low: quantile(&ratios, 0.025),
        high: quantile(&ratios, 0.975),
    }
}

/// The outcome of a Mann-Whitney U test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MannWhitney {
    /// How often a value of the first column is above one of the second; a tie counts half.
    pub u: f64,
    /// How likely a difference at least as large is between columns of one distribution, either way.
    pub p: f64,
}

/// Compares two columns by ranks, with the normal approximation, corrected for ties and for continuity.
///
/// ```
/// let test = saferring_benches::stats::mann_whitney(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]);
/// assert_eq!(test.u, 0.0);
/// assert!((test.p - 0.0809).abs() < 0.0001);
/// ```
pub fn mann_whitney(first: &[f64], second: &[f64]) -> MannWhitney {
    let (n1, n2) = (first.len() as f64, second.len() as f64);
    let n = n1 + n2;
    let mut all: Vec<(f64, bool)> = first.iter().map(|&value| (value, true)).collect();
    all.extend(second.iter().map(|&value| (value, false)));
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut rank_sum, mut ties, mut before) = (0.0, 0.0, 0.0);
    for equal in all.chunk_by(|a, b| a.0 == b.0) {
        let size = equal.len() as f64;
        let rank = before + (size + 1.0) / 2.0;
        rank_sum += rank * equal.iter().filter(|(_, first)| *first).count() as f64;
        ties += size.powi(3) - size;
        before += size;
    }
    let u = rank_sum - n1 * (n1 + 1.0) / 2.0;
    let variance = n1 * n2 / 12.0 * ((n + 1.0) - ties / (n * (n - 1.0)));
    // Nothing to compare, or all values equal.
    if !variance.is_normal() || variance <= 0.0 {
        return MannWhitney { u, p: 1.0 };
    }
    let z = ((u - n1 * n2 / 2.0).abs() - 0.5).max(0.0) / variance.sqrt();
    MannWhitney {
        u,
        p: (2.0 * Normal::standard().sf(z)).min(1.0),
    }
}

/// One column against another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Ours to theirs, with its interval.
    pub ratio: Estimate,
    /// The test by ranks.
    pub test: MannWhitney,
    /// Whether the test says so at 5 %, and the interval does not hold 1.
    pub significant: bool,
}

/// Compares two columns whose rows belong together.
pub fn compare(ours: &[f64], theirs: &[f64]) -> Comparison {
    let ratio = paired_ratio(ours, theirs);
    let test = mann_whitney(ours, theirs);
    Comparison {
        ratio,
        test,
        significant: test.p < 0.05 && (ratio.low > 1.0 || ratio.high < 1.0),
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

/// A ratio that has moved by less does not matter, however sure it is.
const TOLERANCE: f64 = 1.02;

/// Compares a ratio with an earlier one: it has changed if the intervals do not touch and it differs by more than 2 %.
///
/// ```
/// use saferring_benches::stats::{Change, Estimate, change};
///
/// let ratio = |low, median, high| Estimate { low, median, high };
/// let before = ratio(1.00, 1.01, 1.02);
/// assert_eq!(change(&ratio(1.04, 1.05, 1.06), &before), Change::Worse);
/// assert_eq!(change(&ratio(1.00, 1.05, 1.10), &before), Change::None);
/// ```
pub fn change(now: &Estimate, before: &Estimate) -> Change {
    if now.low > before.high && now.median > before.median * TOLERANCE {
        Change::Worse
    } else if now.high < before.low && now.median * TOLERANCE < before.median {
        Change::Better
    } else {
        Change::None
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
        let summary = summary(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        near(summary.mean, 5.0);
        near(summary.deviation, 2.1381);
        near(summary.margin, 2.3646 * 2.1381 / 8f64.sqrt());
        near(summary.median, 4.5);
    }

    #[test]
    fn a_single_figure_and_none_have_no_margin() {
        assert_eq!(summary(&[3.0]).margin, 0.0);
        assert_eq!(summary(&[3.0]).mean, 3.0);
        assert!(summary(&[]).mean.is_nan());
        assert_eq!(summary(&[2.0, 2.0]).margin, 0.0);
    }

    #[test]
    fn ranks_apart_and_mixed() {
        // U = 9 of 9, mean 4.5, variance 9 * 7 / 12 = 5.25, z = 4 / 2.2913 = 1.7457.
        let apart = mann_whitney(&[4.0, 5.0, 6.0], &[1.0, 2.0, 3.0]);
        assert_eq!(apart.u, 9.0);
        near(apart.p, 0.0809);
        // Ranks 1, 3, 5 of the first: 9 - 6 = 3; z = (1.5 - 0.5) / 2.2913 = 0.4364.
        let mixed = mann_whitney(&[1.0, 3.0, 5.0], &[2.0, 4.0, 6.0]);
        assert_eq!(mixed.u, 3.0);
        near(mixed.p, 0.6625);
    }

    #[test]
    fn ties_share_ranks_and_narrow_the_variance() {
        // Ranks 1.5, 1.5 | 3.5, 3.5 | 5.5, 5.5; first: 1.5 + 1.5 + 3.5 = 6.5, U = 0.5. Variance 0.75 * (7 - 18 / 30) =
        // 4.8; z = (4 - 0.5) / 2.1909 = 1.5975.
        let test = mann_whitney(&[1.0, 1.0, 2.0], &[2.0, 3.0, 3.0]);
        assert_eq!(test.u, 0.5);
        near(test.p, 0.1101);
    }

    #[test]
    fn equal_columns_and_empty_ones_do_not_differ() {
        assert_eq!(mann_whitney(&[1.0; 5], &[1.0; 5]).p, 1.0);
        assert_eq!(mann_whitney(&[], &[1.0]).p, 1.0);
        assert!(!compare(&[1.0; 5], &[1.0; 5]).significant);
    }

    #[test]
    fn a_ratio_pairs_rows_and_ignores_what_disturbs_both() {
        // Every row is 5 % dearer, whatever the round was like.
        let theirs: Vec<f64> = (1..=40).map(f64::from).collect();
        let ours: Vec<f64> = theirs.iter().map(|value| value * 1.05).collect();
        let ratio = paired_ratio(&ours, &theirs);
        near(ratio.median, 1.05);
        near(ratio.low, 1.05);
        near(ratio.high, 1.05);
        assert!(paired_ratio(&[], &[1.0]).median.is_nan());
    }

    #[test]
    fn an_interval_shows_when_a_difference_is_noise() {
        let theirs: Vec<f64> = (0..30).map(|i| 100.0 + f64::from(i * 7 % 30)).collect();
        let same: Vec<f64> = (0..30).map(|i| 100.0 + f64::from(i * 11 % 30)).collect();
        let dearer: Vec<f64> = same.iter().map(|value| value * 1.5).collect();
        assert!(!compare(&same, &theirs).significant);
        let comparison = compare(&dearer, &theirs);
        assert!(comparison.significant && comparison.ratio.low > 1.3);
    }

    #[test]
    fn a_change_is_certain_and_large() {
        let ratio = |median: f64, margin: f64| Estimate {
            low: median - margin,
            median,
            high: median + margin,
        };
        let before = ratio(1.0, 0.005);
        assert_eq!(change(&ratio(1.03, 0.005), &before), Change::Worse);
        assert_eq!(change(&ratio(0.97, 0.005), &before), Change::Better);
        // Certain but small, and large but uncertain.
        assert_eq!(change(&ratio(1.015, 0.005), &before), Change::None);
        assert_eq!(change(&ratio(1.10, 0.10), &before), Change::None);
        // Nothing was measured.
        assert_eq!(change(&ratio(f64::NAN, 0.0), &before), Change::None);
    }

    #[test]
    fn median_of_an_even_number_lies_between() {
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn an_interval_holds_its_median_and_narrows_with_more_values() {
        let values = |n: u32| -> Vec<f64> { (0..n).map(|i| f64::from(i * 37 % 101 + 9)).collect() };
        let ratio = |n: u32| paired_ratio(&values(n), &vec![1.0; n as usize]);
        let (few, many) = (ratio(10), ratio(1000));
        assert!(few.low <= few.median && few.median <= few.high);
        assert!(many.high - many.low < few.high - few.low);
    }

    #[test]
    fn orders_differ_between_seeds() {
        let orders: std::collections::HashSet<_> = (0..50).map(|seed| shuffled(4, seed)).collect();
        assert!(orders.len() > 10, "{orders:?}");
    }
}
