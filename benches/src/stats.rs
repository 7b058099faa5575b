//! Medians, and how far to trust them.

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
    let place = q * last as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
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

/// The median of `values` and, by bootstrap, its 95 % interval: the medians of resamples, drawn with replacement.
///
/// ```
/// let estimate = saferring_benches::stats::estimate(&[1.0; 30]);
/// assert_eq!((estimate.low, estimate.median, estimate.high), (1.0, 1.0, 1.0));
/// ```
pub fn estimate(values: &[f64]) -> Estimate {
    // Always the same draws, so that the same figures give the same interval.
    let mut random = crate::measure::Random::new(1);
    let mut medians = Vec::with_capacity(RESAMPLES);
    let mut drawn = vec![0.0; values.len()];
    for _ in 0..RESAMPLES {
        for place in &mut drawn {
            *place = values[random.below(values.len() as u64) as usize];
        }
        medians.push(median(&drawn));
    }
    medians.sort_by(f64::total_cmp);
    Estimate {
        median: median(values),
        low: quantile(&medians, 0.025),
        high: quantile(&medians, 0.975),
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
    let mut random = crate::measure::Random::new(seed);
    let mut order: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        order.swap(last, random.below(last as u64 + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_an_even_number_lies_between() {
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn an_interval_holds_its_median_and_narrows_with_more_values() {
        let values = |n: u32| -> Vec<f64> { (0..n).map(|i| f64::from(i * 37 % 101)).collect() };
        let few = estimate(&values(10));
        let many = estimate(&values(1000));
        assert!(few.low <= few.median && few.median <= few.high);
        assert!(many.high - many.low < few.high - few.low);
    }

    #[test]
    fn orders_differ_between_seeds() {
        let orders: std::collections::HashSet<_> = (0..50).map(|seed| shuffled(4, seed)).collect();
        assert!(orders.len() > 10, "{orders:?}");
    }
}
