//! Tables that fit a hundred columns.

use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement};

use crate::fault::WIDTH;
use crate::text::clean;

/// A table under construction.
#[derive(Debug)]
pub struct Table {
    inner: comfy_table::Table,
}

impl Table {
    /// Makes a table with its header. A header that ends in `>` is a column of numbers, one that ends in `!` a column of names that are not broken:
    /// they are copied and searched for. Names are short by what checks them.
    pub fn new(header: &[&str]) -> Self {
        let mut inner = comfy_table::Table::new();
        inner.load_style(comfy_table::presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        inner.set_width(u16::try_from(WIDTH).unwrap_or(100));
        inner.set_header(header.iter().map(|name| name.trim_end_matches(['>', '!'])));
        for (index, name) in header.iter().enumerate() {
            let Some(column) = inner.column_mut(index) else { continue };
            column.set_padding((0, 2));
            if name.ends_with('>') {
                column.set_cell_alignment(CellAlignment::Right);
            }
            if name.ends_with('!') {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        Self { inner }
    }

    /// Adds a row; every cell is cleaned.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.inner.add_row(cells.into_iter().map(|cell| Cell::new(clean(&cell))).collect::<Vec<_>>());
    }

    /// Draws it, without white space at the ends of lines.
    pub fn to_text(&self) -> String {
        self.inner.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }
}

/// Prints a heading with an empty line before it.
pub fn section(text: &str) {
    super::print(&format!("\n{}", heading(text)));
}

/// Draws a heading; bold on a terminal.
pub fn heading(text: &str) -> String {
    console::style(clean(text)).bold().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_fits_and_is_clean() {
        let mut table = Table::new(&["name", "number>"]);
        table.row(["a\x1b[31m".to_owned(), "1".to_owned()]);
        table.row(["long ".repeat(40), "200".to_owned()]);
        let text = table.to_text();
        assert!(!text.contains('\x1b'));
        assert!(text.lines().all(|line| console::measure_text_width(line) <= WIDTH), "{text}");
        assert!(text.contains("200"));
    }
}
