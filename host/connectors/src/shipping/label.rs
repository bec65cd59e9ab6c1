//! The label as a PDF document: A6, addresses, Code 128, tracking number.

use code128::Code128;
use krilla::Document;
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::metadata::Metadata;
use krilla::page::PageSettings;
use krilla::surface::Surface;
use krilla::text::{Font, TextDirection};

/// A6 upright, in points (1/72 inch): 105 mm by 148 mm.
const WIDTH: f32 = 297.64;
const HEIGHT: f32 = 419.53;
const MARGIN: f32 = 18.0;

/// Width of every glyph of the font, a monospaced one, in parts of its size.
const GLYPH_WIDTH: f32 = 0.602;

/// Most lines that the sender's address may take up before the warehouse's would have to move.
const MAX_SENDER_LINES: usize = 14;

/// What stands on a label.
#[derive(Debug)]
pub(crate) struct Label<'a> {
    pub(crate) carrier: &'a str,
    pub(crate) order: &'a str,
    pub(crate) tracking: &'a str,
    pub(crate) weight_grams: u32,
    pub(crate) sender: &'a [String],
    pub(crate) warehouse: &'a [String],
    /// Some letters were rewritten, which the label says.
    pub(crate) rewritten: bool,
}

/// Why no document was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LabelProblem {
    #[error("the address takes more than {MAX_SENDER_LINES} lines")]
    TooLong,
    #[error("the document cannot be made: {0}")]
    Document(String),
}

/// Makes the document. The same label always gives the same bytes: there is no date and no chance in it.
pub(crate) fn to_pdf(label: &Label<'_>) -> Result<Vec<u8>, LabelProblem> {
    let sender: Vec<String> = label.sender.iter().flat_map(|line| wrap(line, 7.5)).collect();
    if sender.len() > MAX_SENDER_LINES {
        return Err(LabelProblem::TooLong);
    }
    let failed = |what: &str| LabelProblem::Document(what.to_owned());
    let font = Font::new(epaint_default_fonts::HACK_REGULAR.into(), 0).ok_or_else(|| failed("the font cannot be read"))?;
    let mut document = Document::new();
    document.set_metadata(Metadata::new().title(format!("Return label {}", label.tracking)).creator("Bailiwick".to_owned()));
    let settings = PageSettings::from_wh(WIDTH, HEIGHT).ok_or_else(|| failed("the page has no size"))?;
    let mut page = document.start_page_with(settings);
    {
        // Surface and page write themselves into the document when they are dropped.
        let mut pen = Pen { surface: page.surface(), font };
        draw(&mut pen, label, &sender);
    }
    page.finish();
    document.finish().map_err(|error| LabelProblem::Document(format!("{error:?}")))
}

fn draw(pen: &mut Pen<'_>, label: &Label<'_>, sender: &[String]) {
    pen.text(MARGIN, 32.0, 14.0, label.carrier);
    pen.text(WIDTH - MARGIN - 6.0 * 14.0 * GLYPH_WIDTH, 32.0, 14.0, "RETURN");
    pen.rule(40.0);
    pen.text(MARGIN, 52.0, 7.0, "From");
    let mut y = 62.0;
    for line in sender {
        pen.text(MARGIN, y, 7.5, line);
        y += 9.5;
    }
    pen.rule(200.0);
    pen.text(MARGIN, 213.0, 7.0, "To");
    let mut y = 228.0;
    for line in label.warehouse.iter().flat_map(|line| wrap(line, 11.0)).take(5) {
        pen.text(MARGIN, y, 11.0, &line);
        y += 14.0;
    }
    pen.rule(298.0);
    let kilograms = format!("{}.{:03} kg", label.weight_grams / 1000, label.weight_grams % 1000);
    pen.text(MARGIN, 311.0, 8.5, &format!("Order {}", label.order));
    pen.text(WIDTH - MARGIN - kilograms.len() as f32 * 8.5 * GLYPH_WIDTH, 311.0, 8.5, &kilograms);
    pen.barcode(label.tracking, 320.0, 58.0);
    let width = label.tracking.len() as f32 * 12.0 * GLYPH_WIDTH;
    pen.text((WIDTH - width) / 2.0, 393.0, 12.0, label.tracking);
    if label.rewritten {
        pen.text(MARGIN, 407.0, 6.0, "Sender: letters of another script are written in Latin letters here.");
    }
}

/// Breaks a line where it does not fit the width of the label, within a word only where the word alone does not.
fn wrap(line: &str, size: f32) -> Vec<String> {
    // The quotient is a small positive number of glyphs.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the width of a label over that of a glyph, always between 20 and 60"
    )]
    let columns = ((WIDTH - 2.0 * MARGIN) / (size * GLYPH_WIDTH)) as usize;
    textwrap::wrap(line, columns).into_iter().map(std::borrow::Cow::into_owned).collect()
}

struct Pen<'a> {
    surface: Surface<'a>,
    font: Font,
}

impl Pen<'_> {
    fn text(&mut self, x: f32, y: f32, size: f32, text: &str) {
        self.surface.draw_text(Point::from_xy(x, y), self.font.clone(), size, text, false, TextDirection::LeftToRight);
    }

    fn rule(&mut self, y: f32) {
        self.bar(MARGIN, y, WIDTH - 2.0 * MARGIN, 0.7);
    }

    fn bar(&mut self, x: f32, y: f32, width: f32, height: f32) {
        let mut path = PathBuilder::new();
        if let Some(rect) = Rect::from_xywh(x, y, width, height) {
            path.push_rect(rect);
        }
        if let Some(path) = path.finish() {
            self.surface.draw_path(&path);
        }
    }

    /// Draws the bars over the whole width, quiet zones of ten modules on both sides included.
    fn barcode(&mut self, text: &str, y: f32, height: f32) {
        let code = Code128::encode(text.as_bytes());
        let module = WIDTH / code.len() as f32;
        for bar in code.bar_coordinates() {
            self.bar(bar.x as f32 * module, y, f32::from(bar.width) * module, height);
        }
    }
}
