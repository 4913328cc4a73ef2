"""Short forms of mangled names; expected ones are those of c++filt without parameters and template arguments."""

from __future__ import annotations

import time

import pytest

from tinymlsec.target.firmware.short_names import short_name


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("main", "main"),
        ("arm_convolve_s8", "arm_convolve_s8"),
        ("arm_nn_mat_mult.isra.0", "arm_nn_mat_mult"),
        ("helper.constprop.0.isra.1", "helper"),
        ("compiler_rt.arm.__aeabi_memcpy", "compiler_rt.arm.__aeabi_memcpy"),
        ("_Z5setupv", "setup"),
        ("_ZL7g_model", "g_model"),
        ("_ZL8ConvEvalP13TfLiteContextP10TfLiteNode", "ConvEval"),
        ("_ZN6tflite16MicroInterpreter6InvokeEv", "tflite::MicroInterpreter::Invoke"),
        ("_ZN6tflite12_GLOBAL__N_18ConvEvalEP13TfLiteContextP10TfLiteNode", "tflite::(anonymous namespace)::ConvEval"),
        ("_ZN6tflite16MicroInterpreterC1EPKNS_5ModelE", "tflite::MicroInterpreter::MicroInterpreter"),
        ("_ZN6tflite16MicroInterpreterD0Ev", "tflite::MicroInterpreter::~MicroInterpreter"),
        ("_ZNK6tflite5Model9subgraphsEv", "tflite::Model::subgraphs"),
        ("_ZTVN6tflite9AllocatorE", "tflite::Allocator"),
        ("_ZGVZ4mainE1x", "_ZGVZ4mainE1x"),
        ("_ZN3FooIiLi5ENS_3BarIfEEE3runEv", "Foo::run"),
        ("_ZN3FooILb1ELPKc0EE3runEv", "Foo::run"),
        ("_ZSt4moveIRiEONSt16remove_referenceIT_E4typeEOS2_", "std::move"),
        ("_ZN6tflite13reference_ops4ConvIaiEEvRKNS_10ConvParamsE.isra.0", "tflite::reference_ops::Conv"),
        ("_ZN3FooplERKS_", "Foo::operator pl"),
        ("_Z", "_Z"),
        ("_ZN", "_ZN"),
        ("_Z999999999999x", "_Z999999999999x"),
        ("_ZN4main", "main"),
        ("", ""),
        (".isra.0", ".isra.0"),
    ],
)
def test_short_name(name: str, short: str) -> None:
    assert short_name(name) == short


@pytest.mark.parametrize(
    "name", ["_ZN" + "I" * 4000, "_ZN1aI" + "L" * 4000, "_ZN1aI" + "S" * 4000, "_ZN" + "1a" * 2000]
)
def test_hostile_names_take_no_time(name: str) -> None:
    start = time.perf_counter()
    short_name(name)
    assert time.perf_counter() - start < 0.1
