//! Many measurements in a few numbers.

/// The median: between the two in the middle where their number is even.
///
/// # Panics
/// If there are no values.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    let (lower, upper) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    f64::midpoint(lower, upper)
}

/// The smallest value that so many percent of the values do not exceed.
///
/// # Panics
/// If there are no values.
#[must_use]
pub fn percentile(values: &[f64], percent: f64) -> f64 {
    let sorted = sorted(values);
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted[rank.saturating_sub(1)]
}

fn sorted(values: &[f64]) -> Vec<f64> {
    assert!(!values.is_empty(), "nothing was measured");
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The least value.
#[must_use]
pub fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

/// The greatest value.
#[must_use]
pub fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// Median, and from the least to the most, with this number of decimals. If one value is no number, the spread is none.
///
/// # Panics
/// If there are no values.
#[must_use]
pub fn spread(values: &[f64], decimals: usize) -> String {
    if values.iter().any(|value| value.is_nan()) {
        return "too noisy to tell".to_owned();
    }
    let (middle, least, most) = (median(values), least(values), most(values));
    format!("{middle:.decimals$} ({least:.decimals$} to {most:.decimals$})")
}
