//! Plots as SVG: grouped bars, and lines.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// A plot.
pub trait Plot {
    /// The content of the SVG file.
    fn svg(&self) -> String;
}

/// Horizontal bars with their values: a group per measurement, with a bar per contestant.
#[derive(Clone, Debug)]
pub struct Bars {
    title: String,
    unit: String,
    contestants: Vec<String>,
    groups: Vec<(String, Vec<f64>)>,
    longest: f64,
}

/// Lines through points, one per contestant.
#[derive(Clone, Debug)]
pub struct Lines {
    title: String,
    x: String,
    y: String,
    logarithmic_x: bool,
    lines: Vec<(String, Vec<(f64, f64)>)>,
}

const WIDTH: u32 = 960;
/// The height of the title and of the legend.
const HEAD: u32 = 72;
const FONT: &str = "sans-serif";
/// Blue, orange, grey, green and purple: dark on white, and different in lightness.
const COLOURS: [RGBColor; 5] = [
    RGBColor(0x1f, 0x5f, 0xa8),
    RGBColor(0xe6, 0x8a, 0x1e),
    RGBColor(0x8c, 0x8c, 0x8c),
    RGBColor(0x2e, 0x8b, 0x57),
    RGBColor(0x7b, 0x3f, 0x98),
];
const DRAWN_IN_MEMORY: &str = "drawing into a text does not fail";

impl Bars {
    /// Bars without groups; values are in `unit`.
    pub fn new<C: Into<String>>(
        title: impl Into<String>,
        unit: impl Into<String>,
        contestants: impl IntoIterator<Item = C>,
    ) -> Self {
        let contestants = contestants.into_iter().map(Into::into).collect();
        Self {
            title: title.into(),
            unit: unit.into(),
            contestants,
            groups: Vec::new(),
            longest: f64::INFINITY,
        }
    }

    /// Truncates bars above this value, so that one bar does not shrink all others. The full value is still printed.
    #[must_use]
    pub const fn cut_at(mut self, longest: f64) -> Self {
        self.longest = longest;
        self
    }

    /// Adds a group with a value per contestant. NaN is left out.
    ///
    /// # Panics
    /// If the number of values is not the number of contestants.
    pub fn group(&mut self, name: impl Into<String>, values: impl IntoIterator<Item = f64>) {
        let values: Vec<_> = values.into_iter().collect();
        assert_eq!(values.len(), self.contestants.len(), "a value for each contestant");
        self.groups.push((name.into(), values));
    }

    fn height(&self) -> u32 {
        let bars = self.groups.len() * (self.contestants.len() * 22 + 18);
        HEAD + 74 + u32::try_from(bars).expect("a plot that fits a page")
    }

    fn draw(&self, area: &DrawingArea<SVGBackend<'_>, Shift>) {
        let most =
            self.groups.iter().flat_map(|(_, values)| values).copied().fold(0.0, f64::max).min(self.longest);
        let longest = self.groups.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let labels = u32::try_from(longest).expect("a label that fits a page") * 9 + 20;
        let groups = self.groups.len() as f64;
        let area = head(area, &self.title, &self.contestants);
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .margin_right(90)
            .x_label_area_size(46)
            .y_label_area_size(labels)
            // From top to bottom.
            .build_cartesian_2d(0.0..most.max(1e-9) * 1.02, groups.max(1.0)..0.0)
            .expect(DRAWN_IN_MEMORY);
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .light_line_style(TRANSPARENT)
            .bold_line_style(RGBColor(0xdd, 0xdd, 0xdd))
            .x_labels(8)
            .x_label_formatter(&|x| number(*x))
            .x_desc(&self.unit)
            .label_style((FONT, 15))
            .draw()
            .expect(DRAWN_IN_MEMORY);
        let thickness = 0.84 / self.contestants.len().max(1) as f64;
        for who in 0..self.contestants.len() {
            let colour = COLOURS[who % COLOURS.len()];
            let bars = self.groups.iter().enumerate().filter(|(_, (_, values))| values[who].is_finite());
            let bars = bars.map(|(group, (_, values))| {
                let top = group as f64 + 0.08 + who as f64 * thickness;
                Rectangle::new([(0.0, top), (values[who].min(most), top + thickness * 0.9)], colour.filled())
            });
            chart.draw_series(bars).expect(DRAWN_IN_MEMORY);
        }
        let plain = |h| TextStyle::from((FONT, 15).into_font()).pos(Pos::new(h, VPos::Center));
        for (group, (name, values)) in self.groups.iter().enumerate() {
            let middle = group as f64 + 0.5;
            let label =
                EmptyElement::at((0.0, middle)) + Text::new(name.clone(), (-10, 0), plain(HPos::Right));
            chart.plotting_area().draw(&label).expect(DRAWN_IN_MEMORY);
            for (who, value) in values.iter().enumerate().filter(|(_, value)| value.is_finite()) {
                let told = if *value > most { format!("… {}", number(*value)) } else { number(*value) };
                let middle = group as f64 + 0.08 + (who as f64 + 0.45) * thickness;
                let label =
                    EmptyElement::at((value.min(most), middle)) + Text::new(told, (5, 0), plain(HPos::Left));
                chart.plotting_area().draw(&label).expect(DRAWN_IN_MEMORY);
            }
        }
    }
}

impl Lines {
    /// Lines with axes named `x` and `y`, which start at zero.
    pub fn new(title: impl Into<String>, x: impl Into<String>, y: impl Into<String>) -> Self {
        Self { title: title.into(), x: x.into(), y: y.into(), logarithmic_x: false, lines: Vec::new() }
    }

    /// Makes the x axis logarithmic.
    #[must_use]
    pub const fn logarithmic_x(mut self) -> Self {
        self.logarithmic_x = true;
        self
    }

    /// Adds a line through `points`.
    pub fn line(&mut self, name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) {
        self.lines.push((name.into(), points.into_iter().collect()));
    }

    fn range(&self, of: impl Fn(&(f64, f64)) -> f64) -> Range<f64> {
        let values = || self.lines.iter().flat_map(|(_, points)| points).map(&of);
        let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        if least > most { 1.0..2.0 } else { least..most.max(least * 1.01) }
    }

    fn draw(&self, area: &DrawingArea<SVGBackend<'_>, Shift>) {
        let (xs, ys) = (self.range(|point| point.0), self.range(|point| point.1));
        let ys = 0.0..ys.end * 1.08;
        let names: Vec<_> = self.lines.iter().map(|(name, _)| name.clone()).collect();
        let area = head(area, &self.title, &names);
        let mut builder = ChartBuilder::on(&area);
        builder.margin(12).margin_right(40).x_label_area_size(48).y_label_area_size(84);
        // The two kinds of chart have different types.
        macro_rules! draw_on {
            ($xs:expr) => {{
                let mut chart = builder.build_cartesian_2d($xs, ys).expect(DRAWN_IN_MEMORY);
                chart
                    .configure_mesh()
                    .light_line_style(TRANSPARENT)
                    .bold_line_style(RGBColor(0xdd, 0xdd, 0xdd))
                    .x_label_formatter(&|x| number(*x))
                    .y_label_formatter(&|y| number(*y))
                    .x_desc(&self.x)
                    .y_desc(&self.y)
                    .label_style((FONT, 15))
                    .draw()
                    .expect(DRAWN_IN_MEMORY);
                for (who, (_, points)) in self.lines.iter().enumerate() {
                    let colour = COLOURS[who % COLOURS.len()];
                    chart
                        .draw_series(
                            LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(3),
                        )
                        .expect(DRAWN_IN_MEMORY);
                }
            }};
        }
        if self.logarithmic_x {
            draw_on!((xs.start.max(1e-9)..xs.end).log_scale());
        } else {
            draw_on!(0.0..xs.end);
        }
    }
}

/// Draws the title and the legend, and returns the remaining area.
fn head<'a>(
    area: &DrawingArea<SVGBackend<'a>, Shift>,
    title: &str,
    names: &[String],
) -> DrawingArea<SVGBackend<'a>, Shift> {
    let (head, rest) = area.split_vertically(HEAD);
    let style = |size| TextStyle::from((FONT, size).into_font()).pos(Pos::new(HPos::Left, VPos::Center));
    let title = Text::new(title.to_owned(), (16, 22), style(22));
    head.draw(&title).expect(DRAWN_IN_MEMORY);
    let mut x = 16;
    for (who, name) in names.iter().enumerate() {
        let mark = Rectangle::new([(x, 47), (x + 14, 61)], COLOURS[who % COLOURS.len()].filled());
        head.draw(&mark).expect(DRAWN_IN_MEMORY);
        head.draw(&Text::new(name.clone(), (x + 20, 54), style(15))).expect(DRAWN_IN_MEMORY);
        // The font is not known here. Letters of this size are usually at most 8 wide.
        x += 20 + 8 * i32::try_from(name.chars().count()).expect("a name that fits a page") + 20;
    }
    rest
}

fn drawn(height: u32, draw: impl FnOnce(&DrawingArea<SVGBackend<'_>, Shift>)) -> String {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE).expect(DRAWN_IN_MEMORY);
        draw(&area);
        area.present().expect(DRAWN_IN_MEMORY);
    }
    svg
}

impl Plot for Bars {
    fn svg(&self) -> String {
        drawn(self.height(), |area| self.draw(area))
    }
}

impl Plot for Lines {
    fn svg(&self) -> String {
        drawn(480, |area| self.draw(area))
    }
}

/// A number with two or three significant digits: `0.83`, `7.9`, `4,859`.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        value if value.fract() == 0.0 => 0,
        value if value < 1.0 => 2,
        value if value < 10.0 => 1,
        _ => 0,
    };
    let digits = format!("{value:.decimals$}");
    let whole = digits.split('.').next().map_or(0, str::len);
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && at < whole && (whole - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_carry_their_names_and_values() {
        let mut bars = Bars::new("Encoding", "nanoseconds", ["ours", "theirs"]);
        bars.group("small", [83.0, 250.0]);
        bars.group("large", [4859.0, f64::NAN]);
        let svg = bars.svg();
        for text in ["Encoding", "nanoseconds", "ours", "theirs", "small", "large", "83", "4,859"] {
            assert!(svg.contains(text), "{text}: {svg}");
        }
    }

    #[test]
    fn a_bar_that_is_cut_tells_its_value() {
        let mut bars = Bars::new("Encoding", "times as long", ["ours", "theirs"]).cut_at(10.0);
        bars.group("large", [1.0, 53.0]);
        let svg = bars.svg();
        assert!(svg.contains("… 53") && !svg.contains(">40"), "{svg}");
    }

    #[test]
    fn lines_carry_their_names() {
        let points = [(1.0, 2.0), (10.0, 15.0), (100.0, 90.0)];
        let mut lines = Lines::new("Load", "calls in flight", "calls per second");
        assert!(lines.svg().starts_with("<svg"), "an empty plot is a plot");
        lines.line("ours", points);
        for svg in [lines.svg(), lines.clone().logarithmic_x().svg()] {
            for text in ["Load", "calls in flight", "calls per second", "ours", "polyline"] {
                assert!(svg.contains(text), "{text}: {svg}");
            }
        }
    }

    #[test]
    fn numbers_are_grouped_in_threes() {
        assert_eq!(
            [0.0, 1.0, 0.834, 7.9, 250.0, 4859.0, 1_234_567.0].map(number),
            ["0", "1", "0.83", "7.9", "250", "4,859", "1,234,567"]
        );
    }
}
