import os, shutil
from pathlib import Path
from datetime import timedelta
import msgspec, pytest
from ten.holdings.naming import Holding, find_all
from ten.holdings.repair import repair
from ten.holdings.transfer import transfer
from ten.holdings.verify import verify
from ten.store.local import LocalStore
from ten.store.memory import MemoryStore
from ten.store.s3 import S3Store
from tests.holdings.conftest import *
from tests.holdings.stores import flip, objects
from tests.standins.s3 import S3Stand
from tests.standins.s3_faults import Fault
from tests.train.remote import *
from tests.train.test_recovery import steps, fetch, send
from ten.train.recovery import recover
from ten.train.settings import CheckpointSettings
from ten.train.stored_run import StoredRun

@pytest.fixture(scope="session")
def stand():
    with S3Stand() as s: yield s

@pytest.fixture
def s3(stand, monkeypatch):
    for k, v in stand.environment().items(): monkeypatch.setenv(k, v)
    stand.clear()
    st = S3Store(stand.new_bucket() + "/x")
    yield st
    st.close()

def test_p1(s3, stand, folder, pack):
    transfer(folder, s3, [pack])
    stand.add(Fault("wrong_bytes", match=r"GET .*shards/00001", after=1, count=1, bytes=100))
    audit = verify(s3, [pack])
    print([f.damage for f in audit.damaged])
    assert not audit.damaged

def test_p2(s3, stand, folder, pack):
    transfer(folder, s3, [pack])
    b = s3.url.removeprefix("s3://").split("/")[0]
    key = "x/" + pack.key("shards/00001.safetensors")
    data = bytearray(stand.get(b, key)); data[len(data)//2] ^= 1
    stand.put(b, key, bytes(data))
    audit = verify(s3, [pack])
    assert audit.damaged
    r = repair(s3, audit.damaged, lambda h: [])
    print(r)

def test_p3(folder, run):
    target = MemoryStore("memory:t/")
    transfer(folder, target, [run])
    good = target.read(run.key("run.json"))
    folder.write(run.key("run.json"), b"{")
    print(transfer(folder, target, [run]))
    assert target.read(run.key("run.json")) == good

def test_p4(tmp_path):
    store = Remote()
    a, b = tmp_path / "a" / "r", tmp_path / "b" / "r"
    make_run(a, 9)
    shutil.copytree(a, b)
    with open_mirror(store, a) as ma, open_mirror(store, b) as mb:
        ma.offer(make_checkpoint(a, 1)); wait_until(lambda: ma.stored == 1)
        # b at the same step has other bytes
        f = checkpoint_files.publish(b / "checkpoints", 2, {"model.safetensors": lambda: [b"B"*10], "state.json": lambda: [b"B"]}, expected_bytes=10)
        mb.offer(f); wait_until(lambda: mb.stored == 2)
        store.gate.clear()
        ma.offer(make_checkpoint(a, 2))
        wait_until(lambda: ("send", f"{step_folder(2)}/model.safetensors") in store.asked[-3:])
        store.gate.set()
        wait_until(lambda: ma.stored == 2)
        seal = checkpoint_files.decode_seal(store.read(f"{step_folder(2)}/COMPLETE"), "x")
        print(ma._failure, mb._failure)

def test_p5(tmp_path):
    store = Remote(); old, new = tmp_path / "old" / "r", tmp_path / "new" / "r"
    rec = make_run(new, 5); send(store, new, 3)
    oldrec = make_run(old, 9)
    write_run(old / "run.json", msgspec.structs.replace(oldrec, created=rec.created - timedelta(days=9)))
    make_checkpoint(old, 9)
    fetch(store, old)
    print(steps(old))

def test_p6(tmp_path):
    store = Remote(); new, here = tmp_path / "new" / "r", tmp_path / "here" / "r"
    make_run(new, 9); send(store, new, 3)
    stored = StoredRun(store, "r"); stored.look()
    send(store, new, 5)
    for n in ("COMPLETE", "model.safetensors", "state.json"): store.delete(f"{step_folder(3)}/{n}")
    recover(stored, here, CheckpointSettings())
    print(steps(here))

def test_p7(folder, run, monkeypatch):
    real = LocalStore.stat
    import ten.holdings.verify as v
    orig = v._plan_run
    def plan(store, run):
        p = orig(store, run)
        for n in ("COMPLETE", "model.safetensors", "state.json"): store.delete(run.key(f"checkpoints/step-00000100/{n}"))
        return p
    monkeypatch.setattr(v, "_plan_run", plan)
    audit = verify(folder, [run])
    print([f.damage for f in audit.damaged])
    assert not audit.damaged
