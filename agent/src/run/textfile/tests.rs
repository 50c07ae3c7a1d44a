use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use super::*;

const QUICK: Doubling = Doubling::new(Duration::from_millis(1), Duration::from_millis(1));

struct Bench {
    folder: tempfile::TempDir,
    file: Textfile,
    done: mpsc::Receiver<Done>,
}

impl Bench {
    fn new(pauses: Doubling) -> Self {
        let (sender, done) = mpsc::channel(1);
        let (wanted, pages) = watch::channel(None);
        tokio::spawn(follow(pages, pauses, sender));
        let (folder, trouble) = (tempfile::tempdir().unwrap(), None);
        let file = Textfile { wanted, trouble };
        Self { folder, file, done }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn want(&mut self, name: &str, text: &str) {
        let (path, text) = (self.path(name), text.to_owned());
        self.file.want(Some(Page { path, text }));
    }

    /// Takes in the next report, and gives why the file can't be written.
    async fn heard(&mut self) -> Option<&str> {
        let Some(Done::Textfile(trouble)) = self.done.recv().await else {
            panic!("another report, or none");
        };
        self.file.heard(trouble);
        self.file.trouble()
    }
}

async fn holds(path: &Path, text: &str) {
    while fs::read_to_string(path).ok().as_deref() != Some(text) {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn everybody_can_read_the_last_page_and_no_other_file_is_left() {
    let mut bench = Bench::new(QUICK);
    for text in ["a 1\n", "a 2\n"] {
        bench.want("cuo.prom", text);
        holds(&bench.path("cuo.prom"), text).await;
    }
    let mode = fs::metadata(bench.path("cuo.prom")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o644);
    bench.file.want(None);
    bench.want("other.prom", "b 1\n");
    holds(&bench.path("other.prom"), "b 1\n").await;
    let names = fs::read_dir(bench.folder.path()).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["cuo.prom", "other.prom"]);
}

#[tokio::test]
async fn a_page_that_is_the_same_is_not_written_again() {
    let mut bench = Bench::new(QUICK);
    bench.want("cuo.prom", "a 1\n");
    holds(&bench.path("cuo.prom"), "a 1\n").await;
    fs::remove_file(bench.path("cuo.prom")).unwrap();
    let pages = bench.file.wanted.subscribe();
    bench.want("cuo.prom", "a 1\n");
    assert!(!pages.has_changed().unwrap());
    bench.want("other.prom", "a 1\n");
    holds(&bench.path("other.prom"), "a 1\n").await;
    assert!(!bench.path("cuo.prom").exists());
}

#[tokio::test]
async fn a_failure_is_reported_once_and_so_is_its_end() {
    let mut bench = Bench::new(QUICK);
    bench.want("none/cuo.prom", "a 1\n");
    let why = format!(
        "can't write {}: No such file or directory (os error 2)",
        bench.path("none/cuo.prom").display()
    );
    assert_eq!(bench.heard().await, Some(&*why));
    // Whatever fails meanwhile is the same failure: what comes next is its end.
    bench.want("none/cuo.prom", "a 2\n");
    fs::create_dir(bench.path("none")).unwrap();
    assert_eq!(bench.heard().await, None);
    holds(&bench.path("none/cuo.prom"), "a 2\n").await;
}

/// It does not wait for the pause after the failure.
#[tokio::test]
async fn a_failure_is_over_once_the_file_is_elsewhere() {
    let long = Duration::from_secs(3600);
    let mut bench = Bench::new(Doubling::new(long, long));
    bench.want("none/cuo.prom", "a 1\n");
    assert!(bench.heard().await.is_some());
    bench.want("none/other.prom", "a 1\n");
    let other = bench.path("none/other.prom").display().to_string();
    assert!(bench.heard().await.is_some_and(|why| why.contains(&other)));
    bench.want("cuo.prom", "a 2\n");
    assert_eq!(bench.heard().await, None);
    holds(&bench.path("cuo.prom"), "a 2\n").await;
}

/// The time itself is what this is about; a slow machine only makes it longer.
#[tokio::test]
async fn there_is_a_pause_between_two_writes() {
    let pause = Duration::from_millis(200);
    let mut bench = Bench::new(Doubling::new(pause, pause));
    let began = Instant::now();
    bench.want("cuo.prom", "a 1\n");
    holds(&bench.path("cuo.prom"), "a 1\n").await;
    for text in ["a 2\n", "a 3\n"] {
        bench.want("cuo.prom", text);
    }
    holds(&bench.path("cuo.prom"), "a 3\n").await;
    assert!(began.elapsed() >= pause);
}
