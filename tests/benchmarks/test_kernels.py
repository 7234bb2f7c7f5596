"""The profile of a step counts each kernel once, as what it is."""

import json
from pathlib import Path

import kernels
import pytest

from semantica_lib.chapters.costs import kernels as shown
from semantica_lib.store import results


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("aten::bmm", "products"),
        ("nvjet_sm90_sss_64x32_TNT", "products"),
        ("void cutlass::Kernel<cutlass_80_simt_sgemm_64x64_8x5_nn_align1>", "products"),
        ("graph_0_cpp_fused_add_gelu_backward_24", "fused"),
        ("graph_0_cpp_fused__unsafe_view_add_cat_div_lerp_mul_3", "optimizer"),
        ("triton_poi_fused_add_mul_4", "fused"),
        ("triton_poi_fused_lerp_mul_sqrt_4", "optimizer"),
        ("TorchDynamo Cache Lookup", None),
        ("Memcpy DtoD (Device -> Device)", None),
        ("aten::empty", None),
    ],
)
def test_a_kernel_is_known_by_its_name(kernel: str, kind: str | None) -> None:
    assert kernels.kind_of(kernel) == kind


def test_what_is_in_no_kernel_is_between_them() -> None:
    spent = {"aten::bmm": 1.0, "aten::mm": 9.0, "cpp_fused_a": 0.5, "b_cpp_fused_lerp": 0.25}
    parts = kernels.shared_out(spent | {"cpp_fused_b": 0.125}, 4.0)
    assert parts == {"products": 1.0, "fused": 0.625, "optimizer": 0.25, "between": 2.125}
    assert kernels.shared_out(spent, 1.0)["between"] == -0.75


@pytest.mark.long
def test_a_profile_is_written_as_the_page_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "PUBLISHED", tmp_path)
    file = tmp_path / shown.FILES["cpu"]
    kernels.main(["mlp-small", "--out", str(file)])
    (one,) = shown.profiled().values()
    assert one.keys() >= {"trials", "tied", "ms", "machine", "date", "commit"}
    parts = one["ms"]
    # the products of a mixer of this size, forward and back, are neither all of a step nor nothing
    assert 0 < parts["optimizer"] < parts["products"] + parts["fused"]
    assert json.loads(file.read_text()) == {"mlp-small": one}
