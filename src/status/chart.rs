//! Renders small bar charts as SVG, one bar for each day. The module does no I/O.

use std::fmt::Write;

/// One bar; a day without a value has none.
pub(super) struct Bar {
    /// The value that the height shows.
    pub value: Option<f64>,
    /// The tooltip.
    pub title: String,
    /// True if the bar is highlighted.
    pub is_outlier: bool,
}

/// The height of a chart, in units of its view box.
const HEIGHT: f64 = 44.0;

/// Renders a chart of `bars`, scaled to the maximum value.
pub(super) fn bars(label: &str, max_label: &str, bars: &[Bar]) -> String {
    let max = bars.iter().filter_map(|bar| bar.value).fold(0.0, f64::max);
    let step = 300.0 / bars.len().max(1) as f64;
    let width = (step * 0.72).clamp(0.8, 14.0);
    let mut svg = format!(
        "<figure><figcaption><span>{label}</span><span class=\"max\">{max_label}</span></figcaption>\
         <svg viewBox=\"0 0 300 {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{label}\">\
         <line class=\"base\" x1=\"0\" x2=\"300\" y1=\"{HEIGHT}\" y2=\"{HEIGHT}\"/>"
    );
    for (index, bar) in bars.iter().enumerate() {
        let Some(value) = bar.value else {
            continue;
        };
        let share = if max > 0.0 { value / max } else { 0.0 };
        // A value of 0 still has a bar to point at.
        let height = (share * (HEIGHT - 2.0)).max(1.0);
        let class = if bar.is_outlier {
            " class=\"outlier\""
        } else {
            ""
        };
        let _ = write!(
            svg,
            "<rect{class} x=\"{:.2}\" y=\"{:.2}\" width=\"{width:.2}\" height=\"{height:.2}\"><title>{}</title></rect>",
            index as f64 * step + (step - width) / 2.0,
            HEIGHT - height,
            bar.title
        );
    }
    svg.push_str("</svg></figure>");
    svg
}
