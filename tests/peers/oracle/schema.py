"""The tables of E-Business Suite 12 that an integration meets, in SQLite, with two boilers.

Columns are those that matter here. `sequences` and `scheduled_imports` stand for what a database
and its concurrent manager have: a batch that is listed there is imported as soon as it is there.
"""

from __future__ import annotations

SCHEMA = """
CREATE TABLE fnd_user (user_id, user_name, start_date, end_date);
CREATE TABLE fnd_user_resp_groups (user_id, responsibility_id, responsibility_application_id,
  security_group_id, start_date, end_date);
CREATE TABLE fnd_responsibility_vl (responsibility_id, application_id, responsibility_key,
  responsibility_name, start_date, end_date);
CREATE TABLE csi_item_instances (instance_id, instance_number, serial_number, inventory_item_id,
  last_vld_organization_id, active_end_date);
CREATE TABLE mtl_system_items_b (inventory_item_id, organization_id, segment1, eam_item_type);
CREATE TABLE mtl_parameters (organization_id, organization_code, maint_organization_id);
CREATE TABLE mfg_lookups (lookup_type, lookup_code, meaning, enabled_flag);
CREATE TABLE wip_entities (wip_entity_id INTEGER PRIMARY KEY AUTOINCREMENT, organization_id,
  wip_entity_name, description, UNIQUE (organization_id, wip_entity_name));
CREATE TABLE wip_discrete_jobs (wip_entity_id, organization_id, status_type, priority,
  work_order_type, asset_number, maintenance_object_id, scheduled_start_date,
  scheduled_completion_date, class_code, created_by);
CREATE TABLE csi_counters_vl (counter_id, name, counter_template_name, uom_code, direction,
  start_date_active, end_date_active);
CREATE TABLE csi_counter_associations (counter_id, source_object_code, source_object_id);
CREATE TABLE csi_counter_readings (counter_value_id INTEGER PRIMARY KEY AUTOINCREMENT, counter_id,
  counter_reading, value_timestamp, comments, disabled_flag, attribute15, created_by);
CREATE TABLE csi_ctr_readings_interface (
  counter_interface_id INTEGER NOT NULL PRIMARY KEY,
  batch_name NOT NULL CHECK (length(CAST(batch_name AS BLOB)) <= 30),
  source_transaction_date NOT NULL,
  process_status NOT NULL CHECK (length(process_status) <= 1),
  error_text, counter_value_id, counter_id, value_timestamp, counter_reading,
  comments, source_transaction_type_id, source_transaction_id,
  source_code CHECK (length(CAST(source_code AS BLOB)) <= 30), source_line_id, disabled_flag,
  counter_name, attribute1, attribute15, last_update_date NOT NULL, last_updated_by NOT NULL,
  creation_date NOT NULL, created_by NOT NULL, last_update_login);
CREATE TABLE sequences (name PRIMARY KEY, last);
CREATE TABLE scheduled_imports (batch_name);
INSERT INTO sequences VALUES ('CSI.ROWS_OF_THE_INTERFACE_S', 10000);
INSERT INTO scheduled_imports VALUES ('GL002');
INSERT INTO fnd_user VALUES (1318, 'GL002', '2020-01-01', NULL), (1400, 'LEFT', '2020-01-01',
  '2021-01-01'), (1500, 'BOTH', '2020-01-01', NULL), (1600, 'NEW', '2020-01-01', NULL);
INSERT INTO fnd_responsibility_vl VALUES
  (50578, 426, 'GL002_MAINTENANCE', 'GL-002 Maintenance', '2020-01-01', NULL),
  (20420, 1, 'SYSTEM_ADMINISTRATOR', 'System Administrator', '2020-01-01', NULL);
INSERT INTO fnd_user_resp_groups VALUES (1318, 50578, 426, 0, '2020-01-01', NULL),
  (1500, 50578, 426, 0, '2020-01-01', NULL), (1500, 20420, 1, 0, '2020-01-01', NULL),
  (1600, 50578, 426, 0, '2999-01-01', NULL);
INSERT INTO mtl_parameters VALUES (204, 'M1', 204);
INSERT INTO mtl_system_items_b VALUES (9001, 204, 'STEAM BOILER', 1), (9002, 204, 'PUMP', 3),
  (9003, 204, 'BURNER', 3);
INSERT INTO csi_item_instances VALUES (70001, 'BOILER-001', 'BOILER-001', 9001, 204, NULL),
  (70002, 'PUMP-7', 'SN-7', 9002, 204, NULL), (70003, 'BOILER-002', 'BOILER-002', 9001, 204, NULL),
  (70004, 'BURNER-1', NULL, 9003, 204, NULL);
INSERT INTO mfg_lookups VALUES ('WIP_EAM_WORK_ORDER_TYPE', 10, 'Routine', 'Y'),
  ('WIP_EAM_WORK_ORDER_TYPE', 20, 'Preventive', 'Y'), ('WIP_EAM_WORK_ORDER_TYPE', 30,
  'Corrective', 'Y'), ('WIP_EAM_WORK_ORDER_TYPE', 40, 'Old', 'N'), ('WIP_JOB_STATUS', 1,
  'Unreleased', 'Y'), ('WIP_JOB_STATUS', 3, 'Released', 'Y'), ('WIP_JOB_STATUS', 6, 'On Hold', 'Y'),
  ('WIP_JOB_STATUS', 17, 'Draft', 'Y'), ('WIP_EAM_ACTIVITY_PRIORITY', 1, 'Low', 'Y'),
  ('WIP_EAM_ACTIVITY_PRIORITY', 2, 'Medium', 'Y'), ('WIP_EAM_ACTIVITY_PRIORITY', 3, 'High', 'Y');
INSERT INTO csi_counters_vl VALUES (501, 'B1 EFF', 'EFFICIENCY', 'PCT', 'B', NULL, NULL),
  (502, 'B1 RUN', 'RUNTIME_HOURS', 'HR', 'A', NULL, NULL),
  (503, 'B1 FUEL', 'FUEL_CONSUMPTION', 'M3', 'A', NULL, NULL),
  (504, 'B2 EFF', 'EFFICIENCY', 'PCT', 'B', NULL, NULL);
INSERT INTO csi_counter_associations VALUES (501, 'CP', 70001), (502, 'CP', 70001),
  (503, 'CP', 70001), (504, 'CP', 70003);
"""
