//! Small bar charts as SVG, one bar a day. Pure.

use std::fmt::Write;

/// One bar; a day without a figure has none.
pub struct Bar {
    pub value: Option<f64>,
    /// Shown when it is pointed at.
    pub title: String,
    pub is_odd: bool,
}

const HEIGHT: f64 = 44.0;

/// A chart of `bars`, as high as the greatest of them.
pub fn bars(label: &str, greatest_label: &str, bars: &[Bar]) -> String {
    let greatest = bars.iter().filter_map(|bar| bar.value).fold(0.0, f64::max);
    let step = 300.0 / bars.len().max(1) as f64;
    let width = (step * 0.72).clamp(0.8, 14.0);
    let mut svg = format!(
        "<figure><figcaption><span>{label}</span><span class=\"max\">{greatest_label}</span></figcaption>\
         <svg viewBox=\"0 0 300 {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{label}\">\
         <line class=\"base\" x1=\"0\" x2=\"300\" y1=\"{HEIGHT}\" y2=\"{HEIGHT}\"/>"
    );
    for (index, bar) in bars.iter().enumerate() {
        let Some(value) = bar.value else {
            continue;
        };
        let share = if greatest > 0.0 {
            value / greatest
        } else {
            0.0
        };
        // A day with nothing still has a foot to point at.
        let height = (share * (HEIGHT - 2.0)).max(1.0);
        let class = if bar.is_odd { " class=\"odd\"" } else { "" };
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
