use super::*;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn fixture() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap().join("a.sqlite");
    create(&path).unwrap().execute_batch("CREATE TABLE t (n INTEGER)").unwrap();
    (folder, path)
}

#[tokio::test]
async fn a_missing_a_replaced_and_a_foreign_file_are_noticed() {
    let (_folder, path) = fixture();
    let database = Database::start(&path, Access::Write).unwrap();
    let count = |c: &mut Connection| c.query_row("SELECT count(*) FROM t", [], |r| r.get::<_, i64>(0)).map_err(|e| failure(&e));
    assert_eq!(database.read(soon(), count).await.unwrap(), 0);
    let aside = path.with_extension("aside");
    std::fs::rename(&path, &aside).unwrap();
    assert_eq!(database.read(soon(), count).await.unwrap_err().guest, GuestError::Unavailable);
    std::fs::write(&path, "this is no database, it only has its name and is long enough to be looked at as one").unwrap();
    assert_eq!(database.write(soon(), count).await.unwrap_err().guest, GuestError::Unavailable);
    std::fs::rename(&aside, &path).unwrap();
    assert_eq!(database.read(soon(), count).await.unwrap(), 0);
}

#[tokio::test]
async fn an_endless_statement_stops_at_the_deadline() {
    let (_folder, path) = fixture();
    let database = Database::start(&path, Access::Write).unwrap();
    let endless = |c: &mut Connection| {
        c.query_row("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n", [], |_| Ok(()))
            .map_err(|e| failure(&e))
    };
    let deadline = || Instant::now() + Duration::from_millis(50);
    assert_eq!(database.read(deadline(), endless).await.unwrap_err().guest, GuestError::Timeout);
    // The same on the writing side means that nothing changed.
    assert_eq!(database.write(deadline(), endless).await.unwrap_err().guest, GuestError::Unavailable);
}

#[tokio::test]
async fn a_read_cannot_write() {
    let (_folder, path) = fixture();
    let database = Database::start(&path, Access::Write).unwrap();
    for sql in ["INSERT INTO t VALUES (1)", "DELETE FROM t", "PRAGMA query_only = 0; INSERT INTO t VALUES (1)"] {
        assert!(database.read(soon(), move |c| c.execute_batch(sql).map_err(|e| failure(&e))).await.is_err(), "{sql}");
    }
    assert!(Database::start(&path, Access::Read).unwrap().write(soon(), |_| Ok(())).await.is_err());
}

#[tokio::test]
async fn a_full_queue_and_a_passed_deadline_are_unavailable_and_a_panic_is_survived() {
    let (_folder, path) = fixture();
    let database = Arc::new(Database::start(&path, Access::Write).unwrap());
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let (begun, has_begun) = oneshot::channel();
    let holder = tokio::spawn({
        let database = database.clone();
        async move {
            let hold = move |_: &mut Connection| {
                begun.send(()).unwrap();
                gate.recv().unwrap();
                Ok(())
            };
            database.write(soon(), hold).await
        }
    });
    has_begun.await.unwrap();
    let mut waiting: Vec<_> = Vec::new();
    for _ in 0..QUEUE {
        let mut call = Box::pin({
            let database = database.clone();
            async move { database.write(Instant::now(), |_| Ok(())).await }
        });
        // Polled once, so that its job is in the queue.
        assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx))).await.is_pending());
        waiting.push(call);
    }
    let error = database.write(soon(), |_| Ok(())).await.unwrap_err();
    assert!(error.guest == GuestError::Unavailable && error.detail.contains("64 calls wait"), "{error}");
    open.send(()).unwrap();
    holder.await.unwrap().unwrap();
    for call in waiting {
        assert_eq!(call.await.unwrap_err().guest, GuestError::Unavailable);
    }
    let error = database.write(soon(), |_| -> Result<(), CallError> { panic!("a bug") }).await.unwrap_err();
    assert!(matches!(error.guest, GuestError::Indeterminate(_)));
    database.write(soon(), |_| Ok(())).await.unwrap();
}

#[tokio::test]
async fn a_locked_and_a_full_database_are_unavailable() {
    let (_folder, path) = fixture();
    let database = Database::start(&path, Access::Write).unwrap();
    let other = open(&path, Access::Write).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let insert = |c: &mut Connection| c.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (1); COMMIT").map_err(|e| failure(&e));
    let error = database.write(Instant::now() + Duration::from_millis(50), insert).await.unwrap_err();
    assert!(error.guest == GuestError::Unavailable && error.detail.contains("locked"), "{error}");
    other.execute_batch("ROLLBACK").unwrap();
    let fill = |c: &mut Connection| {
        c.execute_batch("PRAGMA max_page_count = 3; BEGIN IMMEDIATE; INSERT INTO t SELECT zeroblob(100000)").map_err(|e| failure(&e))
    };
    let error = database.write(soon(), fill).await.unwrap_err();
    assert!(error.guest == GuestError::Unavailable && error.detail.contains("full"), "{error}");
}

#[test]
fn only_a_failing_disk_leaves_a_commit_open() {
    let of = |code| commit_failure(&rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None)).guest;
    assert!(matches!(of(rusqlite::ffi::SQLITE_IOERR), GuestError::Indeterminate(_)));
    assert!(matches!(of(rusqlite::ffi::SQLITE_IOERR_FSYNC), GuestError::Indeterminate(_)));
    assert_eq!(of(rusqlite::ffi::SQLITE_FULL), GuestError::Unavailable);
    assert_eq!(of(rusqlite::ffi::SQLITE_BUSY), GuestError::Unavailable);
}
