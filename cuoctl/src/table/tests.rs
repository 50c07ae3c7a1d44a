use super::{Cell, Look, Table};
use crate::print::Screen;

fn table() -> Table {
    let mut table = Table::new(&["NODE", "PHASE", "WHY"]);
    table.row([
        "n1".into(),
        Cell::new("held", Look::Bad),
        "a long reason".into(),
    ]);
    table.row(["node-2".into(), Cell::new("idle", Look::Good), "".into()]);
    table
}

#[test]
fn columns_are_as_wide_as_what_is_in_them() {
    let expected = "\
NODE    PHASE  WHY
n1      held   a long reason
node-2  idle
";
    assert_eq!(table().text(Screen::PLAIN, true), expected);
}

#[test]
fn a_line_ends_where_the_screen_does_unless_all_of_it_is_wanted() {
    let narrow = Screen {
        size: Some((20, 24)),
        ..Screen::PLAIN
    };
    let expected = "\
NODE    PHASE  WHY
n1      held   a lo…
node-2  idle
";
    assert_eq!(table().text(narrow, true), expected);
    assert_eq!(
        table().text(narrow, false),
        table().text(Screen::PLAIN, true)
    );
    let mut lines = (0..24).map(|width| {
        let screen = Screen {
            size: Some((width, 24)),
            ..Screen::PLAIN
        };
        (width, table().text(screen, true))
    });
    let too_long =
        lines.find(|(width, text)| text.lines().any(|line| line.chars().count() > *width));
    assert_eq!(too_long, None);
}

#[test]
fn colours_do_not_change_the_widths() {
    let colour = Screen {
        colour: true,
        ..Screen::PLAIN
    };
    let text = table().text(colour, true);
    assert!(
        text.contains("\u{1b}[31mheld\u{1b}[0m   a long reason"),
        "{text:?}"
    );
    let bare = ["31", "32"].iter().fold(text, |text, code| {
        text.replace(&format!("\u{1b}[{code}m"), "")
    });
    assert_eq!(
        bare.replace("\u{1b}[0m", ""),
        table().text(Screen::PLAIN, true)
    );
}
