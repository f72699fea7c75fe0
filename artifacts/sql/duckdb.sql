-- What Kollect exports as Parquet, as tables of DuckDB (1.5 or later; with 1.4 write
-- inventory_current() for inventory_current).
--
--   SET VARIABLE inventory_root = 's3://lake/prod/';         -- the sink's url and prefix, or a folder
--   SET VARIABLE inventory_files = inventory_files();        -- what is current now
--   SELECT resource_name, attr_image FROM inventory_current WHERE kind = 'Deployment';
--
-- DuckDB wants to know the files before it plans a query. So their names are read
-- first, from one small list a cluster that the exporter keeps, and no folder is
-- searched. They are those of one moment: files never change, so that all queries
-- agree until inventory_files is set again, which is how to see what is newer. A
-- retention of the sink removes them an hour after others took their place, at the
-- earliest.
--
--   inventories()                         a line an inventory: its current generation, rows and file
--   inventory_current                     all rows as they are now
--   inventory_current('prod')             those of one cluster; no file of another is opened
--   inventory_current('prod', 'team-a', 'apps')
--   inventory_generations('prod', 'team-a', 'apps')          which generations there are, and since when
--   inventory_at('prod', 'team-a', 'apps', 42)               the rows of a generation
--   inventory_diff('prod', 'team-a', 'apps', 41, 42)         what changed between two
--
-- A cluster, namespace or name may be a pattern such as 'prod-*' wherever there is no
-- generation number. The namespace of a cluster inventory is NULL.
--
-- As of a time: the last generation of each inventory that had been exported by then.
-- Which ones there are, as retention left them, is read first, from a small file each;
-- say of which inventories if there are many.
--
--   SET VARIABLE inventory_history = inventory_history('prod', 'team-a');
--   FROM inventory_at(TIMESTAMPTZ '2026-11-22 12:00:00Z');
--   FROM inventory_diff(now() - INTERVAL 1 DAY, now());
--
-- Columns are those of docs/export.md, by name: an inventory that does not promote an
-- attribute, or did not then, has NULL in its column. Where files have an attribute with
-- different types, its column has a type that takes all of them.

-- The place of all exports, with a slash at the end.
CREATE OR REPLACE MACRO inventory_root() AS
  CASE WHEN getvariable('inventory_root') IS NULL
    THEN error('where do exports go? SET VARIABLE inventory_root = ''s3://bucket/prefix/'';')::VARCHAR
    ELSE rtrim(getvariable('inventory_root')::VARCHAR, '/') || '/' END;

-- The folder of an inventory, or a pattern of them.
CREATE OR REPLACE MACRO inventory_folder(cluster, namespace, name) AS
  inventory_root() || 'inventory/cluster=' || cluster || '/ns=' || coalesce(namespace, '_cluster') || '/name=' || name || '/';

-- What is current, from the lists. Those of removed inventories, which have no file,
-- and of other formats are there too.
CREATE OR REPLACE MACRO inventories(cluster := '*') AS TABLE
  SELECT listed.cluster, listed.i.namespace, listed.i.name, listed.i.generation,
    listed.i.exportedAt AS exported_at, listed.i."rows", listed.i.contentHash AS content_hash,
    coalesce(listed.i.forgotten, false) AS forgotten, listed.i.format, inventory_root() || listed.i.data AS file
  FROM (
    SELECT list.cluster, unnest(list.inventories) AS i
    FROM read_json(inventory_root() || 'current/cluster=' || cluster || '/_inventories.json', maximum_object_size = 67108864, columns = {
      cluster: 'VARCHAR',
      inventories: 'STRUCT(namespace VARCHAR, "name" VARCHAR, generation BIGINT, exportedAt TIMESTAMPTZ, "rows" BIGINT,
        contentHash VARCHAR, forgotten BOOLEAN, format VARCHAR, "data" VARCHAR)[]'
    }) AS list
  ) AS listed;

-- A list of files that was read from the present root; NULL if it is not set, or was
-- read from another.
CREATE OR REPLACE MACRO inventory_listed(files) AS
  if(len(files) = 0 OR starts_with(files[1], rtrim(getvariable('inventory_root')::VARCHAR, '/') || '/'), files, NULL);

-- What to set the variable inventory_files to.
CREATE OR REPLACE MACRO inventory_files(cluster := '*') AS (
  SELECT coalesce(list(current.file ORDER BY current.file), [])
  FROM inventories(cluster) AS current
  WHERE current.format = 'parquet' AND NOT current.forgotten
);

-- The generations that there are, from their manifests, up to the current one: later
-- ones are of exports that have not ended.
CREATE OR REPLACE MACRO inventory_generations(cluster := '*', namespace := '*', name := '*') AS TABLE
  SELECT manifest.cluster, manifest.namespace, manifest.name, manifest.generation,
    manifest.exportedAt AS exported_at, manifest."rows", manifest.contentHash AS content_hash,
    inventory_root() || manifest.data AS file
  FROM read_json(inventory_folder(cluster, namespace, name) || '_manifests/*.json', columns = {
      cluster: 'VARCHAR', namespace: 'VARCHAR', name: 'VARCHAR', generation: 'BIGINT', exportedAt: 'TIMESTAMPTZ',
      rows: 'BIGINT', contentHash: 'VARCHAR', format: 'VARCHAR', data: 'VARCHAR'
    }) AS manifest
  JOIN inventories(cluster) AS current
    ON current.cluster = manifest.cluster AND current.namespace IS NOT DISTINCT FROM manifest.namespace
      AND current.name = manifest.name AND manifest.generation <= current.generation
  WHERE manifest.format = 'parquet' AND NOT current.forgotten;

-- What to set the variable inventory_history to: the generations of each inventory,
-- the oldest first.
CREATE OR REPLACE MACRO inventory_history(cluster := '*', namespace := '*', name := '*') AS (
  SELECT coalesce(list(one.generations), [])
  FROM (
    SELECT list({exported_at: g.exported_at, file: g.file} ORDER BY g.generation) AS generations
    FROM inventory_generations(cluster, namespace, name) AS g
    GROUP BY g.cluster, g.namespace, g.name
  ) AS one
);

-- The files of inventory_history that were current at the time. Nothing in it reads: it
-- has to be constant.
CREATE OR REPLACE MACRO inventory_files_at(cluster, namespace, name, t) AS
  list_filter(
    inventory_listed(list_transform(
      getvariable('inventory_history')::STRUCT(exported_at TIMESTAMPTZ, file VARCHAR)[][],
      lambda generations: coalesce(list_filter(generations, lambda g: g['exported_at'] <= t)[-1]['file'], inventory_root()))),
    lambda file: file GLOB (inventory_folder(cluster, namespace, name) || '*'));

-- The query that reads the files: query() takes one that is made up, where
-- read_parquet() takes no empty list. Of none it has no rows, and the columns that all
-- files have.
CREATE OR REPLACE MACRO inventory_query(files, variable) AS
  CASE
  WHEN files IS NULL THEN
    error('which files are there? SET VARIABLE ' || variable || ' = ' || variable || '();')::VARCHAR
  WHEN files = [] THEN
    'SELECT NULL::VARCHAR AS cluster, NULL::VARCHAR AS inventory_namespace, NULL::VARCHAR AS inventory_name,
      NULL::BIGINT AS generation, NULL::TIMESTAMPTZ AS exported_at, NULL::VARCHAR AS row_key,
      NULL::VARCHAR AS target_namespace, NULL::VARCHAR AS target_name, NULL::VARCHAR AS api_group,
      NULL::VARCHAR AS api_version, NULL::VARCHAR AS resource, NULL::VARCHAR AS kind,
      NULL::VARCHAR AS resource_namespace, NULL::VARCHAR AS resource_name, NULL::VARCHAR AS uid,
      NULL::TIMESTAMPTZ AS created_at, NULL::JSON AS labels, NULL::JSON AS attributes
    LIMIT 0'
  ELSE
    'FROM read_parquet([''' || array_to_string(list_transform(files, lambda file: replace(file, '''', '''''')), ''', ''') ||
    '''], union_by_name = true, hive_partitioning = false)'
  END;

CREATE OR REPLACE MACRO inventory_current(cluster := '*', namespace := '*', name := '*') AS TABLE
  FROM query(inventory_query(
    list_filter(inventory_listed(getvariable('inventory_files')::VARCHAR[]),
      lambda file: file GLOB (inventory_folder(cluster, namespace, name) || '*')),
    'inventory_files'));

-- A view is made before there is anything to see.
CREATE OR REPLACE VIEW inventory_current AS
  FROM query(if(getvariable('inventory_files') IS NULL,
    'SELECT error(''which files are there? SET VARIABLE inventory_files = inventory_files();'')
      AS "SET VARIABLE inventory_files = inventory_files();"',
    'FROM inventory_current()'));

CREATE OR REPLACE MACRO inventory_at
  (cluster, namespace, name, generation BIGINT) AS TABLE (
    FROM query(inventory_query([inventory_folder(cluster, namespace, name) || 'generation=' || generation || '.parquet'], '')) ),
  (cluster, namespace, name, t TIMESTAMPTZ) AS TABLE (
    FROM query(inventory_query(inventory_files_at(cluster, namespace, name, t), 'inventory_history')) ),
  (t TIMESTAMPTZ) AS TABLE (
    FROM query(inventory_query(inventory_files_at('*', '*', '*', t), 'inventory_history')) );

-- What differs between the rows of some files and of some others. changed names the
-- attributes that do.
CREATE OR REPLACE MACRO inventory_compare(before, after) AS TABLE
  SELECT
    CASE WHEN a.row_key IS NULL THEN 'added' WHEN b.row_key IS NULL THEN 'removed' ELSE 'changed' END AS change,
    cluster, inventory_namespace, inventory_name,
    coalesce(b.kind, a.kind) AS kind,
    coalesce(b.resource_namespace, a.resource_namespace) AS resource_namespace,
    coalesce(b.resource_name, a.resource_name) AS resource_name,
    list_filter(list_sort(list_distinct(json_keys(a.attributes) || json_keys(b.attributes))),
      lambda key: json_extract(a.attributes, '$."' || key || '"') IS DISTINCT FROM json_extract(b.attributes, '$."' || key || '"')) AS changed,
    a.attributes AS attributes_before, b.attributes AS attributes_after,
    a.labels AS labels_before, b.labels AS labels_after,
    row_key
  FROM query(inventory_query(before, 'inventory_history')) AS a
  FULL JOIN query(inventory_query(after, 'inventory_history')) AS b
    USING (cluster, inventory_namespace, inventory_name, row_key)
  WHERE (a.attributes, a.labels, a.api_version, a.created_at)
    IS DISTINCT FROM (b.attributes, b.labels, b.api_version, b.created_at);

CREATE OR REPLACE MACRO inventory_diff
  (cluster, namespace, name, a BIGINT, b BIGINT) AS TABLE (
    FROM inventory_compare(
      [inventory_folder(cluster, namespace, name) || 'generation=' || a || '.parquet'],
      [inventory_folder(cluster, namespace, name) || 'generation=' || b || '.parquet']) ),
  (cluster, namespace, name, a TIMESTAMPTZ, b TIMESTAMPTZ) AS TABLE (
    FROM inventory_compare(inventory_files_at(cluster, namespace, name, a), inventory_files_at(cluster, namespace, name, b)) ),
  (a TIMESTAMPTZ, b TIMESTAMPTZ) AS TABLE (
    FROM inventory_compare(inventory_files_at('*', '*', '*', a), inventory_files_at('*', '*', '*', b)) );
