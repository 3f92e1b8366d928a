"""Functions that act when a SELECT calls them, engine by engine.

A statement that only selects may still end sessions, write files, move a sequence or
send a statement to another server. The lists follow the engines' own documentation;
functions that only wait (`sleep`, `pg_sleep`) or only tell (`version`) are not on
them. Reading a file of the server's machine counts: it is no reading of the data.
"""

from __future__ import annotations

from collections.abc import Mapping

# https://www.postgresql.org/docs/current/functions-admin.html unless said otherwise
_POSTGRES_SESSIONS = """
    pg_cancel_backend pg_terminate_backend pg_log_backend_memory_contexts set_config
    pg_notify pg_reload_conf pg_rotate_logfile pg_rotate_logfile_old
    pg_advisory_lock pg_advisory_lock_shared pg_advisory_unlock pg_advisory_unlock_all
    pg_advisory_unlock_shared pg_advisory_xact_lock pg_advisory_xact_lock_shared
    pg_try_advisory_lock pg_try_advisory_lock_shared pg_try_advisory_xact_lock
    pg_try_advisory_xact_lock_shared
    """
_POSTGRES_SERVER = """
    pg_promote pg_switch_wal pg_switch_xlog pg_create_restore_point pg_export_snapshot
    pg_backup_start pg_backup_stop pg_start_backup pg_stop_backup
    pg_wal_replay_pause pg_wal_replay_resume pg_xlog_replay_pause pg_xlog_replay_resume
    pg_log_standby_snapshot pg_stat_reset pg_stat_reset_shared pg_stat_force_next_flush
    pg_stat_reset_single_table_counters pg_stat_reset_single_function_counters
    pg_stat_reset_slru pg_stat_reset_backend_stats pg_stat_reset_replication_slot
    pg_stat_reset_subscription_stats pg_stat_statements_reset pg_prewarm
    autoprewarm_start_worker autoprewarm_dump_now pg_buffercache_evict
    pg_set_relation_stats pg_restore_relation_stats pg_clear_relation_stats
    pg_restore_attribute_stats pg_clear_attribute_stats pg_import_system_collations
    brin_summarize_new_values brin_summarize_range brin_desummarize_range
    gin_clean_pending_list pg_truncate_visibility_map heap_force_kill
    heap_force_freeze
    """
_POSTGRES_REPLICATION = """
    pg_create_physical_replication_slot pg_create_logical_replication_slot
    pg_drop_replication_slot pg_copy_physical_replication_slot
    pg_copy_logical_replication_slot pg_replication_slot_advance
    pg_sync_replication_slots pg_logical_slot_get_changes
    pg_logical_slot_get_binary_changes pg_logical_emit_message
    pg_replication_origin_create pg_replication_origin_drop
    pg_replication_origin_advance pg_replication_origin_session_setup
    pg_replication_origin_session_reset pg_replication_origin_xact_setup
    pg_replication_origin_xact_reset
    """
# sequences and large objects: functions-sequence.html, lo-funcs.html
_POSTGRES_OBJECTS = """
    nextval setval lo_create lo_creat lo_from_bytea lo_put lo_import lo_export
    lo_unlink lo_open lo_close lo_truncate lo_truncate64 lowrite loread lo_manage
    """
# files of the server: functions-admin.html, adminpack
_POSTGRES_FILES = """
    pg_read_file pg_read_binary_file pg_stat_file pg_ls_dir pg_ls_logdir pg_ls_waldir
    pg_ls_tmpdir pg_ls_archive_statusdir pg_ls_summariesdir pg_ls_logicalmapdir
    pg_ls_logicalsnapdir pg_ls_replslotdir pg_file_write pg_file_read pg_file_rename
    pg_file_unlink pg_file_sync pg_file_length pg_logdir_ls pg_logfile_rotate
    """
# functions that run the SQL text that they are given: functions-xml.html, dblink,
# tablefunc, xml2, textsearch-features.html
_POSTGRES_TEXTS = """
    query_to_xml query_to_xmlschema query_to_xml_and_xmlschema cursor_to_xml
    dblink dblink_exec dblink_connect dblink_connect_u dblink_disconnect dblink_open
    dblink_fetch dblink_close dblink_send_query dblink_get_result dblink_cancel_query
    crosstab crosstab2 crosstab3 crosstab4 crosstabn connectby xpath_table ts_stat
    """
# extensions that hosted servers carry: pg_cron, pg_net, http, aws_s3, aws_lambda,
# PostGIS, TimescaleDB, Citus
_POSTGRES_EXTENSIONS = """
    schedule schedule_in_database unschedule alter_job http http_post http_put
    http_patch http_delete http_set_curlopt
    query_export_to_s3 table_import_from_s3 invoke
    addgeometrycolumn dropgeometrycolumn dropgeometrytable updategeometrysrid
    populate_geometry_columns postgis_extensions_upgrade
    create_hypertable drop_chunks compress_chunk decompress_chunk move_chunk
    add_retention_policy remove_retention_policy add_compression_policy
    remove_compression_policy add_continuous_aggregate_policy add_job delete_job run_job
    create_distributed_table create_reference_table undistribute_table
    citus_add_node citus_remove_node run_command_on_workers run_command_on_shards
    run_command_on_placements run_command_on_all_nodes
    """
# https://dev.mysql.com/doc/refman/en/locking-functions.html, replication and keyring
# functions; sys_exec and sys_eval come of a widespread library of functions
_MYSQL = """
    get_lock release_lock release_all_locks load_file sys_exec sys_eval sys_set
    keyring_key_store keyring_key_remove keyring_key_generate set_firewall_mode
    set_firewall_group_mode read_firewall_users read_firewall_groups
    read_firewall_whitelist mysql_firewall_flush_status audit_log_rotate
    audit_log_filter_set_filter audit_log_filter_remove_filter audit_log_filter_flush
    audit_log_filter_set_user audit_log_filter_remove_user
    audit_log_encryption_password_set
    group_replication_set_as_primary group_replication_switch_to_single_primary_mode
    group_replication_switch_to_multi_primary_mode
    group_replication_set_communication_protocol group_replication_set_write_concurrency
    asynchronous_connection_failover_add_source
    asynchronous_connection_failover_delete_source
    asynchronous_connection_failover_add_managed
    asynchronous_connection_failover_delete_managed
    asynchronous_connection_failover_reset version_tokens_set version_tokens_edit
    version_tokens_delete service_get_write_locks service_get_read_locks
    service_release_locks mysql_query_attribute_set
    """
# https://www.sqlite.org/lang_corefunc.html, the shell's and the project's extensions,
# SpatiaLite
_SQLITE = """
    load_extension writefile readfile edit eval fts3_tokenizer fsdir sqlar_compress
    shell_add_schema import_csv blobtofile exportshp exportshp2 exportdbf exportgeojson
    importshp importdbf importgeojson importwkt addgeometrycolumn recovergeometrycolumn
    discardgeometrycolumn createspatialindex initspatialmetadata droptable renametable
    """
# https://duckdb.org/docs/stable/sql/functions/utility, duckdb_functions() and the
# extensions postgres, mysql, sqlite, aws
_DUCKDB = """
    nextval setval setseed write_log add_parquet_key register_external_resource
    create_external_resource truncate_duckdb_logs enable_logging disable_logging
    enable_profiling disable_profiling checkpoint force_checkpoint postgres_execute
    postgres_attach postgres_query mysql_execute mysql_query mysql_clear_cache
    sqlite_attach sqlite_query load_aws_credentials
    """
# https://learn.microsoft.com/sql/t-sql/functions/rowset-functions-transact-sql:
# statements and files of other servers
_TSQL = "openrowset openquery opendatasource xp_cmdshell sp_executesql"
# https://docs.oracle.com/en/database/oracle/oracle-database/23/arpls/: packages whose
# functions run texts or reach files and the network are prefixes below
_ORACLE = "httpuritype getxml dburitype"
# https://spark.apache.org/docs/latest/api/sql/: code of the JVM
_SPARK = "reflect java_method try_reflect"
# https://clickhouse.com/docs/sql-reference/table-functions: programs, foreign statements
_CLICKHOUSE = "executable executablepool jdbc odbc"
# Snowflake, BigQuery, Trino, Redshift: passing a statement on
_OTHERS = "external_query system_query raw_query"

_Words = frozenset[str]


def _words(*texts: str) -> _Words:
    return frozenset(" ".join(texts).split())


ACTING_FUNCTIONS: Mapping[str, _Words] = {
    "postgres": _words(
        _POSTGRES_SESSIONS,
        _POSTGRES_SERVER,
        _POSTGRES_REPLICATION,
        _POSTGRES_OBJECTS,
        _POSTGRES_FILES,
        _POSTGRES_TEXTS,
        _POSTGRES_EXTENSIONS,
    ),
    "mysql": _words(_MYSQL),
    "sqlite": _words(_SQLITE),
    "duckdb": _words(_DUCKDB),
    "tsql": _words(_TSQL),
    "oracle": _words(_ORACLE),
    "spark": _words(_SPARK),
    "clickhouse": _words(_CLICKHOUSE),
    "others": _words(_OTHERS),
}
"""Names in small letters, by engine."""

# Snowflake's SYSTEM$..., CockroachDB's crdb_internal, Oracle's packages that act
_PREFIXES = (
    "system$",
    "crdb_internal",
    "dbms_sql",
    "dbms_scheduler",
    "dbms_job",
    "dbms_java",
    "dbms_lock",
    "dbms_pipe",
    "dbms_alert",
    "dbms_xmlquery",
    "dbms_xmlgen",
    "dbms_xmlstore",
    "dbms_ldap",
    "dbms_backup_restore",
    "utl_",
    "sp_",
    "xp_",
)
_ANYWHERE = frozenset().union(*ACTING_FUNCTIONS.values())


def is_acting_function(path: str) -> bool:
    """Whether a function, by its name or `schema.name`, acts on any engine."""
    parts = path.lower().split(".")
    return parts[-1] in _ANYWHERE or any(part.startswith(_PREFIXES) for part in parts)
