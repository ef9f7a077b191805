"""The statements that we send to E-Business Suite 12: its public packages, its published views.

Names and parameters are those of Oracle's Integration Repository and eTRM: FND_GLOBAL (AFSCGBLS),
MO_GLOBAL, FND_MSG_PUB, EAM_PROCESS_WO_PUB.PROCESS_WO (EAMPWOPS), EAM_METERREADING_PUB
(EAMPMTRS), CSI_CTR_READINGS_INTERFACE, CSI_COUNTERS_VL, CSI_COUNTER_ASSOCIATIONS,
CSI_COUNTER_READINGS, CSI_ITEM_INSTANCES, WIP_ENTITIES, WIP_DISCRETE_JOBS, MFG_LOOKUPS. Values are
bound, never written into the text. No package commits: the transaction is ended once, by us.
"""

from __future__ import annotations

from gl002.transport.oracle.settings import OracleConfig

CONTEXT = """
SELECT u.user_id, r.responsibility_id, r.application_id, r.responsibility_key,
       r.responsibility_name, g.security_group_id
  FROM fnd_user u
  JOIN fnd_user_resp_groups g ON g.user_id = u.user_id
  JOIN fnd_responsibility_vl r ON r.responsibility_id = g.responsibility_id
       AND r.application_id = g.responsibility_application_id
 WHERE u.user_name = :user_name
   AND (u.start_date IS NULL OR u.start_date <= SYSDATE)
   AND (u.end_date IS NULL OR u.end_date > SYSDATE)
   AND (g.start_date IS NULL OR g.start_date <= SYSDATE)
   AND (g.end_date IS NULL OR g.end_date > SYSDATE)
   AND (r.start_date IS NULL OR r.start_date <= SYSDATE)
   AND (r.end_date IS NULL OR r.end_date > SYSDATE)
 ORDER BY r.responsibility_key
""".strip()

INITIALIZE = """
BEGIN
  FND_GLOBAL.APPS_INITIALIZE(
    user_id => :user_id, resp_id => :resp_id, resp_appl_id => :resp_appl_id,
    security_group_id => :security_group_id);
END;
""".strip()

OPERATING_UNIT = """
BEGIN
  MO_GLOBAL.SET_POLICY_CONTEXT(p_access_mode => 'S', p_org_id => :org_id);
END;
""".strip()

ASSET = """
SELECT i.instance_id, i.serial_number, i.inventory_item_id, m.eam_item_type,
       p.maint_organization_id
  FROM csi_item_instances i
  JOIN mtl_system_items_b m ON m.inventory_item_id = i.inventory_item_id
       AND m.organization_id = i.last_vld_organization_id
  JOIN mtl_parameters p ON p.organization_id = i.last_vld_organization_id
 WHERE i.instance_number = :asset_number
   AND (i.active_end_date IS NULL OR i.active_end_date > SYSDATE)
""".strip()

LOOKUPS = """
SELECT l.lookup_code, l.meaning
  FROM mfg_lookups l
 WHERE l.lookup_type = :lookup_type
   AND l.enabled_flag = 'Y'
 ORDER BY l.lookup_code
""".strip()

ORDER = """
SELECT e.wip_entity_id, e.wip_entity_name, j.status_type, l.meaning
  FROM wip_entities e
  JOIN wip_discrete_jobs j ON j.wip_entity_id = e.wip_entity_id
       AND j.organization_id = e.organization_id
  LEFT JOIN mfg_lookups l ON l.lookup_type = 'WIP_JOB_STATUS' AND l.lookup_code = j.status_type
 WHERE e.wip_entity_name = :wip_entity_name
 ORDER BY e.wip_entity_id
""".strip()

METERS = """
SELECT c.counter_id, c.name, c.counter_template_name
  FROM csi_counter_associations a
  JOIN csi_counters_vl c ON c.counter_id = a.counter_id
 WHERE a.source_object_code = 'CP'
   AND a.source_object_id = :instance_id
   AND (c.start_date_active IS NULL OR c.start_date_active <= SYSDATE)
   AND (c.end_date_active IS NULL OR c.end_date_active > SYSDATE)
 ORDER BY c.name
""".strip()

_READINGS = """
SELECT r.counter_value_id, c.name, r.counter_reading, c.counter_id
  FROM csi_counter_associations a
  JOIN csi_counters_vl c ON c.counter_id = a.counter_id
  JOIN csi_counter_readings r ON r.counter_id = c.counter_id
 WHERE a.source_object_code = 'CP'
   AND a.source_object_id = :instance_id
   AND r.{key_attribute} = :action_key
   AND (r.disabled_flag IS NULL OR r.disabled_flag <> 'Y')
 ORDER BY r.counter_value_id
""".strip()

_HANDED_OVER = """
SELECT i.counter_interface_id, c.name, i.counter_reading, i.counter_id, i.process_status,
       i.error_text, i.counter_value_id
  FROM csi_counter_associations a
  JOIN csi_counters_vl c ON c.counter_id = a.counter_id
  JOIN csi_ctr_readings_interface i ON i.counter_id = c.counter_id
 WHERE a.source_object_code = 'CP'
   AND a.source_object_id = :instance_id
   AND i.{key_attribute} = :action_key
 ORDER BY i.counter_interface_id
""".strip()

_HAND_OVER = """
INSERT INTO csi_ctr_readings_interface
  (counter_interface_id, batch_name, source_transaction_date, process_status, counter_id,
   value_timestamp, counter_reading, comments, source_transaction_type_id,
   source_transaction_id, source_code, disabled_flag, {key_attribute},
   last_update_date, last_updated_by, creation_date, created_by)
VALUES
  (:counter_interface_id, :batch_name, SYSDATE, 'R', :counter_id,
   :value_timestamp, :counter_reading, :comments, :source_transaction_type_id,
   :source_transaction_id, :source_code, 'N', :action_key,
   SYSDATE, :last_updated_by, SYSDATE, :created_by)
""".strip()

# 4000 letters, which have up to 16000 bytes
_MESSAGES = """
  FOR i IN 1 .. FND_MSG_PUB.COUNT_MSG LOOP
    l_text := SUBSTR(
      l_text || FND_MSG_PUB.GET(p_msg_index => i, p_encoded => FND_API.G_FALSE) || CHR(10),
      1, 4000);
  END LOOP;
  :messages := l_text;
""".strip("\n")

_TABLES = (
    "op", "op_network", "res", "res_inst", "sub_res", "res_usage", "mat_req", "direct_items",
)  # fmt: skip
_WO = "EAM_PROCESS_WO_PUB"


def _declared(prefix: str) -> str:
    return "\n".join(f"  {prefix}_{t} {_WO}.EAM_{t.upper()}_TBL_TYPE;" for t in _TABLES)


def _passed(direction: str, prefix: str) -> str:
    return "\n".join(f"    {direction}_eam_{t}_tbl => {prefix}_{t}," for t in _TABLES)


PROCESS_WO = f"""
DECLARE
  l_wo {_WO}.EAM_WO_REC_TYPE;
  x_wo {_WO}.EAM_WO_REC_TYPE;
{_declared("l")}
{_declared("x")}
  l_text VARCHAR2(32767);
BEGIN
  l_wo.transaction_type := {_WO}.G_OPR_CREATE;
  l_wo.organization_id := :organization_id;
  l_wo.wip_entity_name := :wip_entity_name;
  l_wo.description := :description;
  l_wo.maintenance_object_source := 1;
  l_wo.maintenance_object_type := 3;
  l_wo.maintenance_object_id := :instance_id;
  l_wo.asset_number := :asset_number;
  l_wo.asset_group_id := :asset_group_id;
  l_wo.rebuild_serial_number := :rebuild_serial_number;
  l_wo.rebuild_item_id := :rebuild_item_id;
  l_wo.work_order_type := :work_order_type;
  l_wo.status_type := :status_type;
  l_wo.priority := :priority;
  l_wo.scheduled_start_date := :scheduled_start_date;
  l_wo.scheduled_completion_date := :scheduled_completion_date;
  {_WO}.PROCESS_WO(
    p_bo_identifier => 'EAM',
    p_api_version_number => 1.0,
    p_init_msg_list => TRUE,
    p_commit => 'N',
    p_eam_wo_rec => l_wo,
{_passed("p", "l")}
    x_eam_wo_rec => x_wo,
{_passed("x", "x")}
    x_return_status => :return_status,
    x_msg_count => :message_count);
  :made_id := x_wo.wip_entity_id;
  :made_name := x_wo.wip_entity_name;
{_MESSAGES}
END;
""".strip()

_CREATE_READING = f"""
DECLARE
  l_reading EAM_METERREADING_PUB.METER_READING_REC_TYPE;
  l_properties EAM_METERREADING_PUB.CTR_PROPERTY_READINGS_TBL;
  l_data VARCHAR2(4000);
  l_text VARCHAR2(32767);
BEGIN
  l_reading.meter_id := :meter_id;
  l_reading.current_reading := :reading;
  l_reading.current_reading_date := :reading_date;
  l_reading.reset_flag := 'N';
  l_reading.description := :description;
  l_reading.{{key_attribute}} := :action_key;
  EAM_METERREADING_PUB.CREATE_METER_READING(
    p_api_version => 1.0,
    p_init_msg_list => FND_API.G_TRUE,
    p_commit => FND_API.G_FALSE,
    x_msg_count => :message_count,
    x_msg_data => l_data,
    x_return_status => :return_status,
    p_meter_reading_rec => l_reading,
    p_ctr_property_readings_tbl => l_properties,
    x_meter_reading_id => :reading_id);
{_MESSAGES}
END;
""".strip()


def readings(config: OracleConfig) -> str:
    """The readings of an asset's meters that carry a key."""
    return _READINGS.format(key_attribute=config.key_attribute.lower())


def create_reading(config: OracleConfig) -> str:
    """Record one reading."""
    return _CREATE_READING.format(key_attribute=config.key_attribute.lower())


def handed_over(config: OracleConfig) -> str:
    """The rows of the open interface for an asset's meters that carry a key."""
    return _HANDED_OVER.format(key_attribute=config.key_attribute.lower())


def hand_over_reading(config: OracleConfig) -> str:
    """Put one reading into the open interface."""
    return _HAND_OVER.format(key_attribute=config.key_attribute.lower())


def next_interface_id(sequence: str) -> str:
    """The next number of a sequence, whose name the configuration has checked."""
    return f"SELECT {sequence}.NEXTVAL FROM dual"  # noqa: S608 (letters and digits, see settings)
