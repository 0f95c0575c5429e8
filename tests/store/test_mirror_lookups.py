"""Whoever writes asks the mirror's tables whose record refers to what changed: by index, however much was sent."""

from store_samples import patient, put

from fhirgw.store import mirror


def test_whose_record_a_change_concerns_is_found_by_index(database):
    put(database, patient())
    statements: list[str] = []

    def noted(tx):
        mirror.enlist(tx, "up", "https://up.example.org/fhir")
        driver = tx.connection.connection.dbapi_connection
        driver.set_trace_callback(statements.append)
        mirror.touch(tx.connection, tx.now, [("Practitioner", "moss", None)])
        driver.set_trace_callback(None)

    database.write_sync(noted)
    with database.read() as connection:
        asked = [one for one in statements if one.startswith("SELECT")]
        plans = [row[3] for one in asked for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {one}")]
    assert any("ix_mirror_reference_target_type_target_id_client" in one for one in plans)
    assert [one for one in plans if one.startswith("SCAN") and not one.startswith("SCAN mirror USING")] == []
