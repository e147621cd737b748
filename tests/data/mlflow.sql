PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE IF NOT EXISTS "runs" (
	run_uuid VARCHAR(32) NOT NULL, 
	name VARCHAR(250), 
	source_type VARCHAR(20), 
	source_name VARCHAR(500), 
	entry_point_name VARCHAR(50), 
	user_id VARCHAR(256), 
	status VARCHAR(9), 
	start_time BIGINT, 
	end_time BIGINT, 
	source_version VARCHAR(50), 
	lifecycle_stage VARCHAR(20), 
	artifact_uri VARCHAR(200), 
	experiment_id INTEGER, deleted_time BIGINT, 
	CONSTRAINT run_pk PRIMARY KEY (run_uuid), 
	CONSTRAINT runs_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')), 
	CONSTRAINT source_type CHECK (source_type IN ('NOTEBOOK', 'JOB', 'LOCAL', 'UNKNOWN', 'PROJECT')), 
	FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id), 
	CHECK (status IN ('SCHEDULED', 'FAILED', 'FINISHED', 'RUNNING', 'KILLED'))
);
INSERT INTO runs VALUES('b7e51f48e4484201a4d754196658e4d4','run-0','UNKNOWN','','','root','FINISHED',1795980207552,1795980208843,'','active','/srv/made/mlruns/1/b7e51f48e4484201a4d754196658e4d4/artifacts',1,NULL);
INSERT INTO runs VALUES('e29396e6d4694d1dbcb57179add4feb8','run-1','UNKNOWN','','','root','FINISHED',1795980209010,1795980210039,'','active','/srv/made/mlruns/1/e29396e6d4694d1dbcb57179add4feb8/artifacts',1,NULL);
INSERT INTO runs VALUES('7fec3d19ebab412ca6e4655bb926d3cd','run-2','UNKNOWN','','','root','FAILED',1795980210188,1795980211123,'','active','/srv/made/mlruns/1/7fec3d19ebab412ca6e4655bb926d3cd/artifacts',1,NULL);
CREATE TABLE IF NOT EXISTS "latest_metrics" (
	"key" VARCHAR(250) NOT NULL, 
	value FLOAT NOT NULL, 
	timestamp BIGINT, 
	step BIGINT NOT NULL, 
	is_nan BOOLEAN NOT NULL, 
	run_uuid VARCHAR(32) NOT NULL, 
	CONSTRAINT latest_metric_pk PRIMARY KEY ("key", run_uuid), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid), 
	CHECK (is_nan IN (0, 1))
);
INSERT INTO latest_metrics VALUES('accuracy',0.52000000000000001776,1795980208419,2,0,'b7e51f48e4484201a4d754196658e4d4');
INSERT INTO latest_metrics VALUES('loss',0.33333333333333331482,1795980208511,2,0,'b7e51f48e4484201a4d754196658e4d4');
INSERT INTO latest_metrics VALUES('accuracy',0.50200000000000000177,1795980209703,2,0,'e29396e6d4694d1dbcb57179add4feb8');
INSERT INTO latest_metrics VALUES('loss',0.0,1795980209791,2,1,'e29396e6d4694d1dbcb57179add4feb8');
INSERT INTO latest_metrics VALUES('accuracy',0.50019999999999997797,1795980210741,2,0,'7fec3d19ebab412ca6e4655bb926d3cd');
INSERT INTO latest_metrics VALUES('loss',0.33333333333333331482,1795980210859,2,0,'7fec3d19ebab412ca6e4655bb926d3cd');
CREATE TABLE IF NOT EXISTS "metrics" (
	"key" VARCHAR(250) NOT NULL, 
	value FLOAT NOT NULL, 
	timestamp BIGINT NOT NULL, 
	run_uuid VARCHAR(32) NOT NULL, 
	step BIGINT DEFAULT '0' NOT NULL, 
	is_nan BOOLEAN DEFAULT '0' NOT NULL, 
	CONSTRAINT metric_pk PRIMARY KEY ("key", timestamp, step, run_uuid, value, is_nan), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid), 
	CHECK (is_nan IN (0, 1))
);
INSERT INTO metrics VALUES('accuracy',0.5,1795980207981,'b7e51f48e4484201a4d754196658e4d4',0,0);
INSERT INTO metrics VALUES('loss',1.0,1795980208127,'b7e51f48e4484201a4d754196658e4d4',0,0);
INSERT INTO metrics VALUES('accuracy',0.51000000000000000888,1795980208223,'b7e51f48e4484201a4d754196658e4d4',1,0);
INSERT INTO metrics VALUES('loss',0.5,1795980208339,'b7e51f48e4484201a4d754196658e4d4',1,0);
INSERT INTO metrics VALUES('accuracy',0.52000000000000001776,1795980208419,'b7e51f48e4484201a4d754196658e4d4',2,0);
INSERT INTO metrics VALUES('loss',0.33333333333333331482,1795980208511,'b7e51f48e4484201a4d754196658e4d4',2,0);
INSERT INTO metrics VALUES('accuracy',0.5,1795980209289,'e29396e6d4694d1dbcb57179add4feb8',0,0);
INSERT INTO metrics VALUES('loss',1.0,1795980209399,'e29396e6d4694d1dbcb57179add4feb8',0,0);
INSERT INTO metrics VALUES('accuracy',0.50100000000000000088,1795980209503,'e29396e6d4694d1dbcb57179add4feb8',1,0);
INSERT INTO metrics VALUES('loss',0.5,1795980209599,'e29396e6d4694d1dbcb57179add4feb8',1,0);
INSERT INTO metrics VALUES('accuracy',0.50200000000000000177,1795980209703,'e29396e6d4694d1dbcb57179add4feb8',2,0);
INSERT INTO metrics VALUES('loss',0.0,1795980209791,'e29396e6d4694d1dbcb57179add4feb8',2,1);
INSERT INTO metrics VALUES('accuracy',0.5,1795980210396,'7fec3d19ebab412ca6e4655bb926d3cd',0,0);
INSERT INTO metrics VALUES('loss',1.0,1795980210507,'7fec3d19ebab412ca6e4655bb926d3cd',0,0);
INSERT INTO metrics VALUES('accuracy',0.50009999999999998898,1795980210579,'7fec3d19ebab412ca6e4655bb926d3cd',1,0);
INSERT INTO metrics VALUES('loss',0.5,1795980210667,'7fec3d19ebab412ca6e4655bb926d3cd',1,0);
INSERT INTO metrics VALUES('accuracy',0.50019999999999997797,1795980210741,'7fec3d19ebab412ca6e4655bb926d3cd',2,0);
INSERT INTO metrics VALUES('loss',0.33333333333333331482,1795980210859,'7fec3d19ebab412ca6e4655bb926d3cd',2,0);
CREATE TABLE IF NOT EXISTS "params" (
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(8000) NOT NULL, 
	run_uuid VARCHAR(32) NOT NULL, 
	CONSTRAINT param_pk PRIMARY KEY ("key", run_uuid), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid)
);
INSERT INTO params VALUES('lr','0.1','b7e51f48e4484201a4d754196658e4d4');
INSERT INTO params VALUES('kind','mlp','b7e51f48e4484201a4d754196658e4d4');
INSERT INTO params VALUES('layers','1','b7e51f48e4484201a4d754196658e4d4');
INSERT INTO params VALUES('lr','0.01','e29396e6d4694d1dbcb57179add4feb8');
INSERT INTO params VALUES('kind','cnn','e29396e6d4694d1dbcb57179add4feb8');
INSERT INTO params VALUES('layers','2','e29396e6d4694d1dbcb57179add4feb8');
INSERT INTO params VALUES('lr','0.001','7fec3d19ebab412ca6e4655bb926d3cd');
INSERT INTO params VALUES('kind','mlp','7fec3d19ebab412ca6e4655bb926d3cd');
INSERT INTO params VALUES('layers','3','7fec3d19ebab412ca6e4655bb926d3cd');
CREATE TABLE IF NOT EXISTS "tags" (
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(8000), 
	run_uuid VARCHAR(32) NOT NULL, 
	CONSTRAINT tag_pk PRIMARY KEY ("key", run_uuid), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid)
);
INSERT INTO tags VALUES('mlflow.user','root','b7e51f48e4484201a4d754196658e4d4');
INSERT INTO tags VALUES('mlflow.source.name','write_mlflow.py','b7e51f48e4484201a4d754196658e4d4');
INSERT INTO tags VALUES('mlflow.source.type','LOCAL','b7e51f48e4484201a4d754196658e4d4');
INSERT INTO tags VALUES('mlflow.runName','run-0','b7e51f48e4484201a4d754196658e4d4');
INSERT INTO tags VALUES('mlflow.note.content','a naïve note','b7e51f48e4484201a4d754196658e4d4');
INSERT INTO tags VALUES('team','blue','b7e51f48e4484201a4d754196658e4d4');
INSERT INTO tags VALUES('mlflow.user','root','e29396e6d4694d1dbcb57179add4feb8');
INSERT INTO tags VALUES('mlflow.source.name','write_mlflow.py','e29396e6d4694d1dbcb57179add4feb8');
INSERT INTO tags VALUES('mlflow.source.type','LOCAL','e29396e6d4694d1dbcb57179add4feb8');
INSERT INTO tags VALUES('mlflow.runName','run-1','e29396e6d4694d1dbcb57179add4feb8');
INSERT INTO tags VALUES('mlflow.note.content','a naïve note','e29396e6d4694d1dbcb57179add4feb8');
INSERT INTO tags VALUES('team','blue','e29396e6d4694d1dbcb57179add4feb8');
INSERT INTO tags VALUES('mlflow.user','root','7fec3d19ebab412ca6e4655bb926d3cd');
INSERT INTO tags VALUES('mlflow.source.name','write_mlflow.py','7fec3d19ebab412ca6e4655bb926d3cd');
INSERT INTO tags VALUES('mlflow.source.type','LOCAL','7fec3d19ebab412ca6e4655bb926d3cd');
INSERT INTO tags VALUES('mlflow.runName','run-2','7fec3d19ebab412ca6e4655bb926d3cd');
INSERT INTO tags VALUES('mlflow.note.content','a naïve note','7fec3d19ebab412ca6e4655bb926d3cd');
INSERT INTO tags VALUES('team','blue','7fec3d19ebab412ca6e4655bb926d3cd');
CREATE TABLE IF NOT EXISTS "experiments" (
	experiment_id INTEGER NOT NULL, 
	name VARCHAR(256) NOT NULL, 
	artifact_location VARCHAR(256), 
	lifecycle_stage VARCHAR(32), 
	creation_time BIGINT, 
	last_update_time BIGINT, 
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	CONSTRAINT experiment_pk PRIMARY KEY (experiment_id), 
	CONSTRAINT experiments_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')), 
	CONSTRAINT uq_experiments_workspace_name UNIQUE (workspace, name)
);
INSERT INTO experiments VALUES(0,'Default','/srv/made/mlruns/0','active',1795980199597,1795980199597,'default');
INSERT INTO experiments VALUES(1,'nets','/srv/made/mlruns/1','active',1795980199740,1795980199740,'default');
COMMIT;
