"""The table of the layer contract test: layer, arguments, inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """One layer with its arguments and the shapes of its inputs (several for merging layers)."""

    layer: str
    arguments: Mapping[str, Any]
    shapes: tuple[Shape, ...]
    integers: int = 0
    """Inputs are integers below this number; 0 means normal floats."""
    training: tuple[bool, ...] = (False,)
    """The modes in which the layer is deterministic."""

    @property
    def id(self) -> str:
        arguments = ",".join(f"{k}={v}" for k, v in self.arguments.items())
        return f"{self.layer}({arguments})-{'+'.join('x'.join(map(str, s)) for s in self.shapes)}"


def case(layer: str, *shapes: Shape, **arguments: Any) -> Case:
    return Case(layer, arguments, shapes)


IMAGES = (2, 9, 8, 4)
SEQUENCES = (2, 9, 4)
FIRST_IMAGES = (2, 4, 9, 8)
FIRST_SEQUENCES = (2, 4, 9)
CF = "channels_first"

CORE = [
    case("Dense", (3, 5), units=4),
    case("Dense", (3, 5), units=4, activation="relu", use_bias=False),
    case("Dense", (2, 3, 5), units=4, activation="tanh", bias_initializer="ones"),
    case("Dense", (2, 3, 2, 5), units=1, activation="sigmoid"),
    case(
        "Dense",
        (3, 5),
        units=4,
        activation="softmax",
        kernel_initializer="he_normal",
        kernel_regularizer="l2",
        bias_regularizer="l1",
        kernel_constraint="max_norm",
        bias_constraint="non_neg",
    ),
    case("Identity", (2, 3)),
    case("Masking", (2, 3, 4), mask_value=0.5),
    Case("Embedding", {"input_dim": 11, "output_dim": 3}, ((4, 6),), integers=11),
    Case(
        "Embedding",
        {"input_dim": 5, "output_dim": 2, "mask_zero": True, "embeddings_regularizer": "l2"},
        ((7,),),
        integers=5,
    ),
    case("Rescaling", (2, 3, 3, 3), scale=2.0, offset=-1.0),
    Case("Rescaling", {"scale": 1 / 255}, ((2, 4, 3),), integers=255),
    case("Rescaling", (2, 4, 3), scale=[1.0, 2.0, 3.0], offset=[0.0, 1.0, -1.0]),
    case("ActivityRegularization", (2, 3), l1=0.1, l2=0.2),
]

ACTIVATIONS = [
    *(
        case("Activation", (3, 5), activation=name)
        for name in ("linear", "relu", "sigmoid", "tanh", "softmax", "elu", "gelu", "selu")
    ),
    case("ReLU", (3, 5)),
    case("ReLU", (3, 5), max_value=0.7, negative_slope=0.1, threshold=0.2),
    case("ReLU", (3, 5), max_value=1.0),
    case("LeakyReLU", (3, 5)),
    case("LeakyReLU", (3, 5), negative_slope=0.01),
    case("PReLU", (3, 4, 5), alpha_initializer="ones"),
    case("PReLU", IMAGES, alpha_initializer="glorot_uniform", shared_axes=[1, 2]),
    case("ELU", (3, 5)),
    case("ELU", (3, 5), alpha=0.5),
    case("Softmax", (3, 5)),
    case("Softmax", (3, 4, 5), axis=1),
    case("Softmax", (3, 4, 5), axis=(1, 2)),
]

RESHAPING = [
    case("Flatten", (2, 3, 4, 5)),
    case("Flatten", (2, 3)),
    case("Flatten", (4,)),
    case("Flatten", (2, 3, 4, 5), data_format=CF),
    case("Reshape", (2, 12), target_shape=(3, 4)),
    case("Reshape", (2, 3, 4), target_shape=(2, -1)),
    case("Reshape", (2, 3, 4), target_shape=(-1,)),
    case("Permute", (2, 3, 4), dims=(2, 1)),
    case("Permute", (2, 3, 4, 5), dims=(3, 1, 2)),
    case("RepeatVector", (2, 3), n=4),
    case("ZeroPadding1D", SEQUENCES),
    case("ZeroPadding1D", SEQUENCES, padding=(0, 3)),
    case("ZeroPadding1D", FIRST_SEQUENCES, padding=2, data_format=CF),
    case("ZeroPadding2D", IMAGES),
    case("ZeroPadding2D", IMAGES, padding=((0, 1), (2, 3))),
    case("ZeroPadding2D", FIRST_IMAGES, padding=(1, 2), data_format=CF),
    case("Cropping1D", SEQUENCES, cropping=(1, 2)),
    case("Cropping1D", SEQUENCES, cropping=(2, 0)),
    case("Cropping2D", IMAGES, cropping=((0, 1), (2, 3))),
    case("Cropping2D", FIRST_IMAGES, cropping=1, data_format=CF),
    case("UpSampling1D", SEQUENCES, size=3),
    case("UpSampling2D", IMAGES),
    case("UpSampling2D", IMAGES, size=(3, 1)),
    case("UpSampling2D", FIRST_IMAGES, size=2, data_format=CF),
]

CONVOLUTIONS = [
    case("Conv1D", SEQUENCES, filters=3, kernel_size=2),
    case("Conv1D", SEQUENCES, filters=3, kernel_size=3, padding="causal", dilation_rate=2),
    case("Conv1D", SEQUENCES, filters=3, kernel_size=4, padding="causal", strides=2),
    case("Conv1D", SEQUENCES, filters=4, kernel_size=3, padding="same", strides=2, groups=2),
    case("Conv1D", FIRST_SEQUENCES, filters=3, kernel_size=3, padding="causal", data_format=CF),
    case("Conv1D", FIRST_SEQUENCES, filters=3, kernel_size=2, data_format=CF, strides=2),
    case("Conv2D", IMAGES, filters=3, kernel_size=3),
    case("Conv2D", IMAGES, filters=3, kernel_size=(2, 3), padding="same", activation="relu"),
    case("Conv2D", IMAGES, filters=3, kernel_size=3, strides=(2, 3), use_bias=False),
    case("Conv2D", IMAGES, filters=3, kernel_size=4, strides=2, padding="same"),
    case("Conv2D", IMAGES, filters=3, kernel_size=2, dilation_rate=(2, 3)),
    case("Conv2D", IMAGES, filters=3, kernel_size=3, dilation_rate=2, padding="same"),
    case("Conv2D", IMAGES, filters=4, kernel_size=3, groups=2),
    case("Conv2D", IMAGES, filters=8, kernel_size=1, groups=4, strides=2, padding="same"),
    case("Conv2D", FIRST_IMAGES, filters=3, kernel_size=3, data_format=CF),
    case(
        "Conv2D",
        FIRST_IMAGES,
        filters=6,
        kernel_size=(3, 2),
        data_format=CF,
        strides=2,
        padding="same",
        groups=2,
        activation="tanh",
    ),
    case(
        "Conv2D",
        IMAGES,
        filters=2,
        kernel_size=3,
        kernel_initializer="he_uniform",
        bias_initializer="ones",
        kernel_regularizer="l2",
        bias_regularizer="l1",
        activity_regularizer="l2",
        kernel_constraint="max_norm",
        bias_constraint="non_neg",
    ),
    case("DepthwiseConv1D", SEQUENCES, kernel_size=3),
    case("DepthwiseConv1D", SEQUENCES, kernel_size=2, depth_multiplier=2, padding="same"),
    case("DepthwiseConv2D", IMAGES, kernel_size=3, depth_multiplier=2),
    case("DepthwiseConv2D", IMAGES, kernel_size=3, strides=2, padding="same", use_bias=False),
    case("DepthwiseConv2D", IMAGES, kernel_size=2, dilation_rate=2, activation="relu"),
    case("DepthwiseConv2D", FIRST_IMAGES, kernel_size=3, depth_multiplier=2, data_format=CF),
    case("SeparableConv1D", SEQUENCES, filters=5, kernel_size=3, depth_multiplier=2),
    case("SeparableConv2D", IMAGES, filters=5, kernel_size=3, depth_multiplier=2),
    case("SeparableConv2D", IMAGES, filters=5, kernel_size=3, strides=2, padding="same"),
    case("SeparableConv2D", FIRST_IMAGES, filters=5, kernel_size=3, data_format=CF),
]

POOLING = [
    *(
        case(f"{kind}Pooling{rank}D", images if rank == 2 else sequences, **arguments)
        for kind in ("Max", "Average")
        for rank in (1, 2)
        for images, sequences, arguments in (
            (IMAGES, SEQUENCES, {"pool_size": 2}),
            (IMAGES, SEQUENCES, {"pool_size": 3, "strides": 2}),
            (IMAGES, SEQUENCES, {"pool_size": 3, "strides": 2, "padding": "same"}),
            (IMAGES, SEQUENCES, {"pool_size": 4, "strides": 3, "padding": "same"}),
            (IMAGES, SEQUENCES, {"pool_size": 3, "strides": 1}),
            (FIRST_IMAGES, FIRST_SEQUENCES, {"pool_size": 2, "data_format": CF}),
        )
    ),
    case("MaxPooling2D", IMAGES, pool_size=(2, 3), strides=(1, 2), padding="same"),
    case("MaxPooling2D", IMAGES),
    *(
        case(f"Global{kind}Pooling{rank}D", images if rank == 2 else sequences, **arguments)
        for kind in ("Max", "Average")
        for rank in (1, 2)
        for images, sequences, arguments in (
            (IMAGES, SEQUENCES, {}),
            (IMAGES, SEQUENCES, {"keepdims": True}),
            (FIRST_IMAGES, FIRST_SEQUENCES, {"data_format": CF}),
        )
    ),
]

BOTH = (False, True)


def normalization(layer: str, shape: Shape, **arguments: Any) -> Case:
    return Case(layer, arguments, (shape,), training=BOTH)


NORMALIZATION = [
    normalization("BatchNormalization", (6, 5)),
    normalization("BatchNormalization", IMAGES),
    normalization("BatchNormalization", FIRST_IMAGES, axis=1),
    normalization("BatchNormalization", SEQUENCES, momentum=0.5, epsilon=0.1),
    normalization("BatchNormalization", (6, 5), center=False),
    normalization("BatchNormalization", (6, 5), scale=False),
    normalization("BatchNormalization", (6, 5), trainable=False),
    normalization("BatchNormalization", (6, 5), beta_regularizer="l1", gamma_regularizer="l2"),
    normalization("LayerNormalization", (6, 5)),
    normalization("LayerNormalization", IMAGES, epsilon=0.1),
    normalization("LayerNormalization", IMAGES, axis=[1, 2]),
    normalization("LayerNormalization", IMAGES, axis=[3, 1]),
    normalization("LayerNormalization", SEQUENCES, axis=1, center=False),
    normalization("LayerNormalization", SEQUENCES, scale=False),
]

REGULARIZATION = [
    case("Dropout", (4, 5), rate=0.5, seed=1),
    Case("Dropout", {"rate": 0.0}, ((4, 5),), training=BOTH),
    case("Dropout", (4, 5), rate=0.5, seed=1, noise_shape=(None, 1)),
    case("SpatialDropout1D", SEQUENCES, rate=0.5, seed=1),
    case("SpatialDropout2D", IMAGES, rate=0.5, seed=1),
    case("GaussianNoise", (4, 5), stddev=0.5, seed=1),
    case("GaussianDropout", (4, 5), rate=0.5, seed=1),
]

PAIR = ((3, 4, 5), (3, 4, 5))

MERGING = [
    *(
        case(name, *shapes)
        for name in ("Add", "Multiply", "Average", "Maximum", "Minimum")
        for shapes in (
            PAIR,
            ((3, 4, 5), (3, 4, 5), (3, 4, 5)),
            ((3, 4, 5), (3, 1, 5)),
            ((3, 5), (3, 4, 5)),
            ((3, 4, 1), (3, 1, 5)),
        )
    ),
    case("Subtract", *PAIR),
    case("Subtract", (3, 5), (3, 4, 5)),
    case("Concatenate", *PAIR),
    case("Concatenate", (3, 4, 5), (3, 4, 2), (3, 4, 1)),
    case("Concatenate", (3, 4, 5), (3, 2, 5), axis=1),
    case("Dot", (3, 5), (3, 5), axes=1),
    case("Dot", (3, 5), (3, 5), axes=-1, normalize=True),
    case("Dot", (3, 4, 5), (3, 6, 5), axes=2),
    case("Dot", (3, 4, 5), (3, 4, 6), axes=(1, 1)),
    case("Dot", (3, 4, 5), (3, 5), axes=(2, 1)),
    case("Dot", (3, 5), (3, 5, 2), axes=(1, 1)),
]

CASES = [
    *CORE,
    *ACTIVATIONS,
    *RESHAPING,
    *CONVOLUTIONS,
    *POOLING,
    *NORMALIZATION,
    *REGULARIZATION,
    *MERGING,
]
