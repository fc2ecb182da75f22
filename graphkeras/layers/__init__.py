"""The layers of `keras.layers`, one family a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkeras.lazy import loader

if TYPE_CHECKING:
    from graphkeras.layers.activation import (
        ELU,
        Activation,
        LeakyReLU,
        PReLU,
        ReLU,
        Softmax,
    )
    from graphkeras.layers.convolution import (
        Conv1D,
        Conv2D,
        Convolution1D,
        Convolution2D,
    )
    from graphkeras.layers.core import (
        Dense,
        Identity,
        Lambda,
        Masking,
    )
    from graphkeras.layers.depthwise_convolution import (
        DepthwiseConv1D,
        DepthwiseConv2D,
        SeparableConv1D,
        SeparableConv2D,
        SeparableConvolution1D,
        SeparableConvolution2D,
    )
    from graphkeras.layers.embedding import (
        Embedding,
    )
    from graphkeras.layers.input_layer import Input, InputLayer
    from graphkeras.layers.input_spec import InputSpec
    from graphkeras.layers.layer import Layer
    from graphkeras.layers.merging import (
        Add,
        Average,
        Concatenate,
        Dot,
        Maximum,
        Minimum,
        Multiply,
        Subtract,
        add,
        average,
        concatenate,
        dot,
        maximum,
        minimum,
        multiply,
        subtract,
    )
    from graphkeras.layers.normalization import (
        BatchNormalization,
        LayerNormalization,
    )
    from graphkeras.layers.pooling import (
        AveragePooling1D,
        AveragePooling2D,
        AvgPool1D,
        AvgPool2D,
        GlobalAveragePooling1D,
        GlobalAveragePooling2D,
        GlobalAvgPool1D,
        GlobalAvgPool2D,
        GlobalMaxPool1D,
        GlobalMaxPool2D,
        GlobalMaxPooling1D,
        GlobalMaxPooling2D,
        MaxPool1D,
        MaxPool2D,
        MaxPooling1D,
        MaxPooling2D,
    )
    from graphkeras.layers.preprocessing import (
        Rescaling,
    )
    from graphkeras.layers.regularization import (
        ActivityRegularization,
        Dropout,
        GaussianDropout,
        GaussianNoise,
        SpatialDropout1D,
        SpatialDropout2D,
    )
    from graphkeras.layers.reshaping import (
        Flatten,
        Permute,
        RepeatVector,
        Reshape,
    )
    from graphkeras.layers.resizing import (
        Cropping1D,
        Cropping2D,
        UpSampling1D,
        UpSampling2D,
        ZeroPadding1D,
        ZeroPadding2D,
    )

_FILES = {
    "activation": "ELU Activation LeakyReLU PReLU ReLU Softmax",
    "convolution": "Conv1D Conv2D Convolution1D Convolution2D",
    "core": "Dense Identity Lambda Masking",
    "depthwise_convolution": (
        "DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D SeparableConvolution1D "
        "SeparableConvolution2D"
    ),
    "embedding": "Embedding",
    "input_layer": "Input InputLayer",
    "input_spec": "InputSpec",
    "layer": "Layer",
    "merging": (
        "Add Average Concatenate Dot Maximum Minimum Multiply Subtract add average concatenate "
        "dot maximum minimum multiply subtract"
    ),
    "normalization": "BatchNormalization LayerNormalization",
    "pooling": (
        "AveragePooling1D AveragePooling2D AvgPool1D AvgPool2D GlobalAveragePooling1D "
        "GlobalAveragePooling2D GlobalAvgPool1D GlobalAvgPool2D GlobalMaxPool1D GlobalMaxPool2D "
        "GlobalMaxPooling1D GlobalMaxPooling2D MaxPool1D MaxPool2D MaxPooling1D MaxPooling2D"
    ),
    "preprocessing": "Rescaling",
    "regularization": (
        "ActivityRegularization Dropout GaussianDropout GaussianNoise SpatialDropout1D "
        "SpatialDropout2D"
    ),
    "reshaping": "Flatten Permute RepeatVector Reshape",
    "resizing": "Cropping1D Cropping2D UpSampling1D UpSampling2D ZeroPadding1D ZeroPadding2D",
}
__getattr__, __dir__ = loader(__name__, _FILES)

__all__ = [
    "ELU",
    "Activation",
    "ActivityRegularization",
    "Add",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "AvgPool1D",
    "AvgPool2D",
    "BatchNormalization",
    "Concatenate",
    "Conv1D",
    "Conv2D",
    "Convolution1D",
    "Convolution2D",
    "Cropping1D",
    "Cropping2D",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Dot",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "Identity",
    "Input",
    "InputLayer",
    "InputSpec",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPooling1D",
    "MaxPooling2D",
    "Maximum",
    "Minimum",
    "Multiply",
    "PReLU",
    "Permute",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "SeparableConv1D",
    "SeparableConv2D",
    "SeparableConvolution1D",
    "SeparableConvolution2D",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "Subtract",
    "UpSampling1D",
    "UpSampling2D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]
