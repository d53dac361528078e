//! A report: tables, plots and text, printed as Markdown and optionally written to `docs/benchmarks`.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::machine;
use crate::plot::Plot;

/// The report of a benchmark. It prints each part at once; [`finish`](Self::finish) writes the files.
#[derive(Debug)]
#[must_use = "`finish` writes it"]
pub struct Report {
    name: String,
    text: String,
    plots: Vec<(String, String)>,
    write: bool,
}

/// A table, printed as Markdown.
#[derive(Clone, Debug)]
pub struct Table {
    heads: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Report {
    /// A report, which is written to `docs/benchmarks/<name>.md` if the command line has `--report`. It names the machine
    /// and the versions of `packages`.
    pub fn from_args(name: &str, title: &str, packages: &[&str]) -> Self {
        Self::new(name, title, packages, env::args().any(|argument| argument == "--report"))
    }

    fn new(name: &str, title: &str, packages: &[&str], write: bool) -> Self {
        let mut report = Self { name: name.to_owned(), text: String::new(), plots: Vec::new(), write };
        report.say(&format!("# {title}"));
        let versions =
            packages.iter().filter_map(|package| Some(format!("{package} {}", machine::version(package)?)));
        let facts = std::iter::once(machine::facts()).chain(versions).collect::<Vec<_>>().join(", ");
        report.say(&format!("Measured on {facts}. To repeat it: `cargo xtask bench {name}`."));
        report
    }

    fn say(&mut self, paragraph: &str) {
        println!("{paragraph}\n");
        self.text.push_str(paragraph);
        self.text.push_str("\n\n");
    }

    /// The heading of a part.
    pub fn heading(&mut self, heading: &str) {
        self.say(&format!("## {heading}"));
    }

    /// A paragraph of Markdown.
    pub fn text(&mut self, paragraph: &str) {
        self.say(paragraph);
    }

    /// A table.
    pub fn table(&mut self, table: &Table) {
        self.say(table.markdown().trim_end());
    }

    /// A plot, in the file `<report>-<name>.svg`. `alt` is its text for screen readers.
    pub fn plot(&mut self, name: &str, alt: &str, plot: &impl Plot) {
        let file = format!("{}-{name}.svg", self.name);
        // A plot is not printed.
        let _ = write!(self.text, "![{alt}]({file})\n\n");
        self.plots.push((file, plot.svg()));
    }

    /// Writes the report and its plots, if the command line has `--report`.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn finish(self) -> io::Result<()> {
        if self.write {
            self.write_to(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks"))?;
        }
        Ok(())
    }

    fn write_to(&self, folder: &Path) -> io::Result<PathBuf> {
        fs::create_dir_all(folder)?;
        for (file, svg) in &self.plots {
            fs::write(folder.join(file), svg)?;
        }
        let page = folder.join(format!("{}.md", self.name));
        fs::write(&page, format!("{}\n", self.text.trim_end()))?;
        Ok(page)
    }
}

impl Table {
    /// A table without rows. The first column is aligned to the left, the others to the right.
    pub fn new<H: Into<String>>(heads: impl IntoIterator<Item = H>) -> Self {
        Self { heads: heads.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// If the number of cells is not the number of heads.
    pub fn row<C: Into<String>>(&mut self, cells: impl IntoIterator<Item = C>) {
        let cells: Vec<_> = cells.into_iter().map(Into::into).collect();
        assert_eq!(cells.len(), self.heads.len(), "a cell for each head");
        self.rows.push(cells);
    }

    /// The table as Markdown with aligned columns.
    #[must_use]
    pub fn markdown(&self) -> String {
        let rows = || std::iter::once(&self.heads).chain(&self.rows);
        let widths: Vec<usize> = (0..self.heads.len())
            .map(|column| rows().map(|row| row[column].chars().count()).max().unwrap_or(0).max(3))
            .collect();
        let line = |cells: &[String]| {
            let cells = cells.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
        };
        let rule: Vec<String> = widths
            .iter()
            .enumerate()
            .map(
                |(column, &width)| {
                    if column == 0 { "-".repeat(width) } else { format!("{}:", "-".repeat(width - 1)) }
                },
            )
            .collect();
        let mut text = line(&self.heads) + &line(&rule);
        self.rows.iter().for_each(|row| text.push_str(&line(row)));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::Bars;

    fn table() -> Table {
        let mut table = Table::new(["", "ours", "ratio"]);
        table.row(["small", "83 ns", "3.0"]);
        table.row(["a long name", "1 µs", "10.0"]);
        table
    }

    #[test]
    fn columns_of_a_table_are_aligned() {
        let expected = "\
|             |  ours | ratio |\n\
| ----------- | ----: | ----: |\n\
| small       | 83 ns |   3.0 |\n\
| a long name |  1 µs |  10.0 |\n";
        assert_eq!(table().markdown(), expected);
    }

    #[test]
    fn report_is_a_page_with_plots_in_the_same_folder() {
        let folder = env::temp_dir().join(format!("thrift-nats-report-{}", std::process::id()));
        let mut report = Report::new("try", "A try", &["plotters"], true);
        report.heading("Part");
        report.table(&table());
        report.plot("sizes", "sizes of things", &Bars::new("Sizes", "bytes", ["a"]));
        let page = fs::read_to_string(report.write_to(&folder).unwrap()).unwrap();
        let svg = fs::read_to_string(folder.join("try-sizes.svg")).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert!(page.starts_with("# A try\n\nMeasured on "), "{page}");
        assert!(page.contains("plotters 0.3") && page.contains("cargo xtask bench try"), "{page}");
        assert!(page.ends_with("![sizes of things](try-sizes.svg)\n"), "{page}");
        assert!(svg.starts_with("<svg"), "{svg}");
    }
}
